"""Which arrays of a file are images, and which are their labels: by their names."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from keras_transfer.data.samples import SPLITS
from keras_transfer.data.split_names import split_of
from keras_transfer.errors import BadData, UnknownName

__all__ = ["CLASS_NAMES", "array_pairs"]

logger = logging.getLogger("keras_transfer")

CLASS_NAMES = "class_names"
"""Name of an array of the classes' names."""


def array_pairs(path: Path, names: Sequence[str], name: str = "") -> dict[str, tuple[str, str]]:
    """Names of the images and of the labels in a file, by split.

    The labels of an array called X or x and anything more are called Y or y and the same: those
    of ``Xs`` are ``Ys``. Arrays called after splits, ``x_train`` and ``x_test``, go together.

    Args:
        path: The file, for messages.
        names: Of all arrays in it.
        name: Of the array of images to read; "": the file's splits, or its only pair.

    Returns:
        (images, labels) for "train", "val", "test", or for "" (no split).

    Raises:
        UnknownName: No array of images is called ``name``.
        BadData: An array has no labels, it is open which arrays are meant, or one would be lost.
    """
    pairs = {images: labels for images in names if (labels := _labels_of(images, names))}
    if name:
        return {"": (name, _labels_named(path, names, name, pairs))}
    splits = _splits(path, names)
    if splits.keys() <= {""}:
        splits = _only(path, names, pairs)
    _check_others(path, names, [found for pair in splits.values() for found in pair])
    return splits


def _only(path: Path, names: Sequence[str], pairs: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The only pair of a file without splits."""
    if not pairs:
        raise BadData(
            f"{path} should hold x_train and y_train, or x and y, or another pair such as Xs and "
            f"Ys; found {', '.join(names) or 'no arrays'}."
        )
    if len(pairs) > 1:
        first = next(iter(pairs))
        raise BadData(f"{path} holds {', '.join(pairs)}. Name one, e.g. {path}:{first}.")
    return {"": next(iter(pairs.items()))}


def _labels_of(images: str, names: Sequence[str]) -> str:
    """Name of the labels of an array of images; "" if it has none."""
    others = {"X": "Yy", "x": "yY"}.get(images[:1], "")  # in the same case first
    found = [first + images[1:] for first in others if first + images[1:] in names]
    return found[0] if found else ""


def _labels_named(path: Path, names: Sequence[str], name: str, pairs: dict[str, str]) -> str:
    if name in pairs:
        return pairs[name]
    if name in names and name[0] in "xX":
        raise _without_labels(path, name)
    raise UnknownName(f"array of images in {path}", name, pairs)


def _without_labels(path: Path, images: str) -> BadData:
    labels = ("Y" if images[0] == "X" else "y") + images[1:]
    return BadData(f"{path} holds {images}, but no {labels}, which should be its labels. Add it.")


def _splits(path: Path, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Pairs that are called after splits, or x alone."""
    splits: dict[str, tuple[str, str]] = {}
    for name in names:
        match = re.fullmatch(r"[xX](?:_(\w+))?", name)
        split = split_of(match[1]) if match and match[1] else ""
        if not match or (match[1] and not split):
            continue
        if split in splits:
            raise BadData(
                f"{path} holds {splits[split][0]} and {name}, both of which are the "
                f"{split or 'undecided'} split. Join them, or remove one of them."
            )
        labels = _labels_of(name, names)
        if not labels:
            raise _without_labels(path, name)
        splits[split] = (name, labels)
    return splits


def _check_others(path: Path, names: Sequence[str], used: Sequence[str]) -> None:
    """Refuse arrays that seem to be meant for a split; log the other unread ones."""
    unread = [name for name in names if name not in (*used, CLASS_NAMES)]
    present = {name.lower() for name in (*used, *names)} - {name.lower() for name in unread}
    meant = [CLASS_NAMES, *(f"{xy}_{split}" for xy in "xy" for split in SPLITS)]
    for name in unread:
        if re.fullmatch(r"[yY](_\w+)?", name) and split_of(name[2:]):
            raise BadData(f"{path} holds {name}, but no x{name[1:]}. Add it, or remove {name}.")
        near = get_close_matches(name.lower(), meant, n=1, cutoff=0.75)
        if near and near[0] not in present:
            raise BadData(
                f"{path} holds an array {name}, which is not read. Did you mean {near[0]!r}? "
                "Rename or remove it."
            )
    if unread:
        logger.info("Ignored arrays in %s: %s", path, ", ".join(unread))
