"""Find the ImageNet weights on this machine, or download them."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from keras_transfer.errors import BadWeights
from keras_transfer.networks.backbones import BACKBONES, checked_variant
from keras_transfer.networks.published import IMAGENET, variant_key

__all__ = ["Location", "check_hash", "fetch", "where"]


class Location(NamedTuple):
    """A published file and its path on this machine."""

    path: Path
    url: str
    hash: str

    @property
    def present(self) -> bool:
        """Whether there is such a file; ``check_hash`` says whether it is the right one."""
        return self.path.is_file()


def where(
    name: str, variant: Mapping[str, Any] | None = None, image_size: int | None = None
) -> Location:
    """The file that Keras uses for a network, and its path.

    Args:
        name: A row of ``BACKBONES``.
        variant: Its options.
        image_size: Side of the images in pixels, which the MobileNets have files for; the
            network's native size if None.

    Returns:
        The file in ``$KERAS_HOME/models`` (``~/.keras/models`` by default), there or not.

    Raises:
        UnknownName: No such network or option.
        BadConfiguration: The option has other values.
        BadWeights: Nobody publishes ImageNet weights of this network.
    """
    key = variant_key(name, checked_variant(name, variant))
    if key not in IMAGENET:
        raise BadWeights(
            f"There are no ImageNet weights of {key}. Take --weights none, a file, or run:DIR."
        )
    row = IMAGENET[key]
    size = image_size or BACKBONES[name].size
    size = size if size in row.sizes else 224
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    path = home / "models" / row.name.format(size=size)
    return Location(path, row.url.format(size=size), row.hash)


def check_hash(path: Path, digest: str) -> None:
    """Compare a file with its published hash.

    Args:
        path: The file.
        digest: MD5 or SHA-256 in hex; empty for none, which lets every file pass.

    Raises:
        BadWeights: It has another hash.
    """
    # Keras publishes MD5 for most files and SHA-256 for ConvNeXt; the length tells which.
    algorithm = "sha256" if len(digest) == 64 else "md5"
    # Systems in FIPS mode refuse MD5 unless it is declared as no security measure.
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):  # convnext_xlarge has 1.4 GB
            hasher.update(chunk)
    if digest and hasher.hexdigest() != digest:
        raise BadWeights(
            f"{path} is not the published file: its {algorithm} is {hasher.hexdigest()}, "
            f"not {digest}. "
            "The download was probably interrupted; delete the file to download it again."
        )


def fetch(
    name: str, variant: Mapping[str, Any] | None = None, image_size: int | None = None
) -> Path:
    """Find the file that ``where`` names on this machine, or download it.

    Returns:
        Its path; its hash is right, where one is published.

    Raises:
        BadWeights: It is not there and cannot be downloaded, or is there and has another hash.
    """
    file = where(name, variant, image_size)
    if file.present:
        check_hash(file.path, file.hash)
        return file.path
    try:
        _download(file)
    except Exception as error:  # Keras raises a bare Exception where there is no network
        raise BadWeights(_offline(name, file, error)) from None
    return file.path


def _download(file: Location) -> None:
    import keras

    file.path.parent.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(sys.stderr):  # its progress bar would spoil --json
        keras.utils.get_file(
            file.path.name,
            file.url,
            file_hash=file.hash or None,
            cache_dir=str(file.path.parents[1]),  # not the folder that Keras set at import
            cache_subdir="models",
        )


def _offline(name: str, file: Location, error: Exception) -> str:
    digest = f"hash {file.hash}" if file.hash else "no hash is published"
    return (
        f"The ImageNet weights of {name} are not on this machine, and could not be downloaded: "
        f"{error}\n"
        f"  file    {file.path.name} ({digest})\n"
        f"  from    {file.url}\n"
        f"  belongs in {file.path.parent}\n"
        "Fetch it on a machine with a network and put it there, or set KERAS_HOME to a folder "
        "that has it in models/. Otherwise use --weights FILE, or --weights none."
    )
