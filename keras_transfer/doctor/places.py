"""Folders that are written to, weights that are at hand, and the way to the network."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_transfer.cache import cache_dir
from keras_transfer.doctor.finding import Finding, note, ok, problem
from keras_transfer.errors import BadWeights

__all__ = ["check_folders", "check_proxies", "check_weights"]

LEAST_DISK = 1e9
LOCAL = ("localhost", "127.0.0.1")


def check_folders() -> Iterator[Finding]:
    """Whether the cache, Keras's downloads and runs can be written, and the space there."""
    yield from _folder("cache", cache_dir, "Set KT_CACHE_DIR to a folder that can be written.")
    yield from _folder("keras home", _keras_home, "Set KERAS_HOME to a folder that can be written.")
    yield from _folder("runs", Path.cwd, "Change to another folder, or give --out.")
    yield from _folder("temporary files", lambda: Path(tempfile.gettempdir()), "Set TMPDIR.")


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _folder(check: str, find: Callable[[], Path], cure: str) -> Iterator[Finding]:
    folder: Path | str = "its folder"
    try:
        folder = find()
        # The nearest that exists: looking must not leave folders behind.
        there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")
        free = shutil.disk_usage(there).free
    # RuntimeError: there is no home folder.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        yield problem(check, f"{folder} cannot be written: {reason}", cure)
        return
    text = f"{folder}, {free / 1e9:,.1f} GB free"
    if free < LEAST_DISK:
        yield problem(check, text, f"Make room. {cure}")
    else:
        yield ok(check, text)


def check_weights() -> Iterator[Finding]:
    """Published weights on this machine; those with another hash than the published one."""
    from keras_transfer.networks import imagenet
    from keras_transfer.networks.backbones import BACKBONES
    from keras_transfer.networks.hub_backbones import HUB_BACKBONES
    from keras_transfer.networks.hub_presets import place_of
    from keras_transfer.networks.hub_text_backbones import HUB_TEXT_BACKBONES

    sound = [name for name in (*HUB_BACKBONES, *HUB_TEXT_BACKBONES) if place_of(name).present]
    for name in BACKBONES:
        if name not in imagenet.IMAGENET or not (file := imagenet.where(name)).present:
            continue
        try:
            imagenet.check_hash(file.path, file.hash)
        except (BadWeights, OSError) as error:
            cure = f"Delete {file.path}; it is downloaded again when it is needed."
            yield problem(f"weights {name}", str(error), cure)
        else:
            sound.append(name)
    if sound:
        yield ok("weights", f"at hand: {', '.join(sound)}")
    else:
        cure = "They are downloaded when they are needed; see kt-recipe weights where NAME."
        yield note("weights", "no published weights are at hand", cure)


def check_proxies() -> Iterator[Finding]:
    """Proxies, and whether what is served on this machine would be looked for behind them."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    found = [name for name in names if os.environ.get(name) or os.environ.get(name.upper())]
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if not found:
        yield ok("proxies", "none")
    elif "*" in direct or all(host in direct for host in LOCAL):
        yield ok("proxies", f"{', '.join(found)} set; this machine is left out")
    else:
        text = f"{', '.join(found)} set, and used for this machine too"
        cure = "For clients of kt-recipe serve: export no_proxy=localhost,127.0.0.1,::1"
        yield note("proxies", text, cure)
