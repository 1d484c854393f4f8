"""Data sets of tensorflow-datasets: find by name, download, read."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import tensorflow_datasets as tfds

from keras_transfer.data import records
from keras_transfer.data.samples import Samples
from keras_transfer.data.split_names import SPLIT_WORDS
from keras_transfer.errors import BadConfiguration, BadData, UnknownName

__all__ = ["read_tfds"]

logger = logging.getLogger("keras_transfer")

_SPEC = re.compile(r"(?P<name>\w+)(\[(?P<config>[\w.-]+)\])?(?P<version>:[\d.*]+)?")


def read_tfds(name: str, data_dir: Path | None = None) -> Samples:
    """Read a data set of tensorflow-datasets; fetch and prepare it first if that was not done.

    Args:
        name: ``NAME`` or ``NAME[config]``, either with ``:1.0.0`` behind it for a version.
        data_dir: Folder of prepared data sets; by default that of tensorflow-datasets,
            ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.

    Returns:
        Samples with keys such as "train/00012". The splits train, validation and test are the
        splits, others are left out; a lone train split counts as undecided.

    Raises:
        UnknownName: There is no such data set, or no such configuration of it.
        BadConfiguration: The name is malformed, or there is no such version.
        BadData: It cannot be fetched, or it does not hold images with one label each.
    """
    builder = _builder(name, data_dir)
    if not builder.data_path.exists():
        _prepare(builder)
    return _samples(builder.info)


# --- finding and fetching -------------------------------------------------------------------


def _builder(name: str, data_dir: Path | None) -> Any:
    spec = _SPEC.fullmatch(name)
    if not spec:
        raise BadConfiguration(
            f"tfds:{name} should be tfds:NAME, tfds:NAME[config] or tfds:NAME[config]:1.0.0."
        )
    plain, config, version = spec["name"], spec["config"], spec["version"]
    try:
        return tfds.builder(
            plain + (f"/{config}" if config else "") + (version or ""), data_dir=data_dir
        )
    except (ValueError, AssertionError) as error:
        raise _unknown(plain, config, error) from error


def _unknown(name: str, config: str | None, error: Exception) -> BadConfiguration:
    try:
        configs = tfds.builder_cls(name).builder_configs
    except ValueError:
        known = tfds.list_builders(with_community_datasets=False)
        return UnknownName("data set of tensorflow-datasets", name, known)
    if config and config not in configs:
        return UnknownName(f"configuration of {name}", config, configs)
    return BadConfiguration(f"tfds:{name} cannot be loaded: {error}")


def _prepare(builder: Any) -> None:
    urls = builder.url_infos or {}
    size = sum(info.size for info in urls.values())
    logger.warning(
        "Fetching %s (%s) to %s",
        builder.info.full_name,
        f"{size / 2**20:,.0f} MiB" if size else "of unknown size",
        builder.data_path,
    )
    try:
        # Files that were fetched before need no server.
        if not [*(builder.data_dir_root / "downloads" / builder.name).glob("*.INFO.json")]:
            _reach(urls)
        if not sys.stderr.isatty():
            tfds.disable_progress_bar()
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            builder.download_and_prepare()
    except Exception as error:  # any error of its code or of the network
        raise BadData(
            f"tfds:{builder.info.full_name} could not be fetched and prepared in "
            f"{builder.data_dir_root} ({type(error).__name__}: {error}). Without a network, "
            "prepare it on a machine that has one, copy the folder, and name it by --data-dir."
        ) from error


def _reach(urls: Iterable[str]) -> None:
    """Raise OSError if none of the servers answers; tensorflow-datasets would try for minutes."""
    servers = {urlsplit(url).netloc: url for url in urls if url.startswith("http")}
    failures = [failure for url in servers.values() if (failure := _failure(url))]
    if failures and len(failures) == len(servers):
        raise failures[0]


def _failure(url: str) -> OSError | None:
    try:
        urlopen(Request(url, method="HEAD"), timeout=10).close()
    except HTTPError:
        return None  # the server answered, with an error
    except OSError as error:
        return error
    return None


# --- reading --------------------------------------------------------------------------------


def _samples(info: Any) -> Samples:
    splits = _splits(info)
    files = [(split, str(path)) for split in splits for path in info.splits[split].filepaths]
    image, label = _image(info), _feature(info, tfds.features.ClassLabel, 1)
    store, labels = records.index([path for _, path in files], image, label)
    split_of = np.array([split for split, _ in files], object)[store.files]
    samples = Samples.of(
        store,
        info.features[label].names,
        [key for split in splits for key in _keys(split, int((split_of == split).sum()))],
        labels,
        splits=np.array([splits[split] for split, _ in files], object)[store.files],
    )
    # tensorflow-datasets writes -1 where an example has no label.
    if (labels < 0).any():
        logger.warning("Leaving out %d images without a label", (labels < 0).sum())
    return samples.take(labels >= 0)


def _splits(info: Any) -> dict[str, str]:
    """The splits that are read, and the split that each is."""
    splits = {split: SPLIT_WORDS[split] for split in info.splits if split in SPLIT_WORDS}
    ignored = [split for split in info.splits if split not in SPLIT_WORDS]
    if not splits:
        raise BadData(
            f"tfds:{info.full_name} should have a split called {', '.join(SPLIT_WORDS)}; found "
            f"{', '.join(ignored) or 'none'}."
        )
    if ignored:
        logger.warning("Leaving out the splits %s of %s", ", ".join(ignored), info.full_name)
    return {"train": ""} if [*splits] == ["train"] else splits


def _keys(split: str, n: int) -> list[str]:
    width = max(5, len(str(n - 1)))
    return [f"{split}/{i:0{width}}" for i in range(n)]


def _feature(info: Any, sort: type, position: int) -> str:
    """Name of the feature of this sort: the one in ``supervised_keys[place]``, or the only one."""
    features = dict(info.features)
    candidates = [name for name, feature in features.items() if type(feature) is sort]
    supervised = info.supervised_keys
    if supervised and supervised[position] in candidates:
        return supervised[position]
    if len(candidates) == 1:
        return candidates[0]
    present = ", ".join(f"{name}: {type(feature).__name__}" for name, feature in features.items())
    raise BadData(
        f"tfds:{info.full_name} should have one {sort.__name__} feature, or say which one is meant "
        f"in its supervised_keys; found {present}."
    )


def _image(info: Any) -> str:
    """Name of the feature with the image, which must be encoded 8-bit in TFRecord files."""
    name = _feature(info, tfds.features.Image, 0)
    dtype, sort = np.dtype(info.features[name].np_dtype), info.file_format.file_suffix
    if dtype != np.uint8 or sort != "tfrecord":
        raise BadData(
            f"tfds:{info.full_name} should hold uint8 images in tfrecord files; found {dtype} "
            f"in {sort} files."
        )
    return name
