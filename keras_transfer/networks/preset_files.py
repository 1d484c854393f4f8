"""The files of a preset: what they may hold, and what they say about pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.errors import BadWeights
from keras_transfer.networks.hdf5_files import opened_hdf5

__all__ = ["check_files", "declared_scale"]


def check_files(folder: Path) -> None:
    """Refuse a preset that could do more than give weights.

    KerasHub would follow links of HDF5 files to others, and import the modules that config.json
    names.

    Raises:
        BadWeights: It has such links, or classes from other packages.
    """
    for file in sorted(folder.glob("*.h5")):
        with opened_hdf5(file):
            pass  # everything in it is checked by now
    for file in sorted(folder.glob("*.json")):
        names = sorted(set(_foreign_modules(_document(file))))
        if names:
            raise BadWeights(
                f"{file} names classes of {', '.join(names)}. A preset has classes of KerasHub and "
                "Keras only, and others are not imported."
            )


def _foreign_modules(config: Any) -> Iterator[str]:
    """Modules of classes that are neither Keras's nor KerasHub's, at any depth."""
    inner = [config]
    while inner:
        one = inner.pop()
        if isinstance(one, dict):
            module = one.get("module")
            if isinstance(module, str) and module.partition(".")[0] not in ("keras", "keras_hub"):
                yield module
            inner.extend(one.values())
        elif isinstance(one, list):
            inner.extend(one)


def declared_scale(folder: Path) -> tuple[Any, Any] | None:
    """Scale and offset of pixels 0..255 as a preset states them; None if it does not."""
    for file in ("preprocessor.json", "image_converter.json", "preprocessor_config.json"):
        found = _scale_in(_document(folder / file))
        if found is not None:
            return found
    return _scale_in(_document(folder / "config.json").get("pretrained_cfg") or {})


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _scale_in(document: Mapping[str, Any]) -> tuple[Any, Any] | None:
    mean = document.get("image_mean", document.get("mean"))
    std = document.get("image_std", document.get("std"))
    if mean is not None and std is not None:  # Hugging Face and timm
        factor = document.get("rescale_factor", 1 / 255)
        scale = np.asarray(factor) / np.asarray(std)
        return scale, -np.asarray(mean) / np.asarray(std)
    config = document.get("config", document)
    inner = config.get("image_converter") or config
    config = inner.get("config", inner)
    if "scale" in config and "offset" in config:  # KerasHub
        scale, offset = config["scale"], config["offset"]
        return (1.0 if scale is None else scale), (0.0 if offset is None else offset)
    return None
