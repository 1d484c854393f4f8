"""Images in folders: one folder a class, perhaps below ``train``, ``val`` and ``test``."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from keras_transfer.data.files import Files
from keras_transfer.data.listing import counted, identity, images_below, list_folder
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.data.split_names import SPLIT_WORDS, check_known
from keras_transfer.errors import BadData
from keras_transfer.inputs.images.decode import EXTENSIONS

__all__ = ["read_folder"]

logger = logging.getLogger("keras_transfer")

_EXAMPLE = """
Expected one folder per class, such as
  {0}/cat/1.jpg
  {0}/dog/2.jpg"""

_Classes = dict[str, list[str]]  # paths of the images by class


def read_folder(folder: Path) -> Samples:
    """List the images below a folder.

    ``folder`` holds class folders, or ``train`` and perhaps ``val`` (``valid``, ``validation``)
    and ``test`` with class folders in each. Folders below a class folder belong to it, those
    behind symbolic links too. What is hidden (``.name``) is passed over, and so are files
    without an image's ending, with a warning that counts them.

    Returns:
        Samples with paths as keys and classes sorted by name. The splits are "" where the folder
        has none, or train alone.

    Raises:
        BadData: The folder is laid out otherwise; says what was found.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise BadData(f"{os.path.abspath(root)} {what}.")
    others: Counter[str] = Counter()
    folders = _part_folders(root)
    found = {split: _classes(below, others) for split, below in folders.items()}
    first = next(iter(folders))
    _check_two(folders[first], found[first])
    if "train" in found:
        check_known(root, found)
    if others:
        logger.warning("Ignored files in %s that are no images: %s", root, counted(others))
    return _samples({"": found["train"]} if [*found] == ["train"] else found)


def _samples(found: dict[str, _Classes]) -> Samples:
    """Make the table; the first part decides the classes."""
    classes = [*next(iter(found.values()))]
    labels = {name: label for label, name in enumerate(classes)}
    rows = [
        (path, label, split)
        for split, by_class in found.items()
        for path, label in sorted(
            (path, labels[name]) for name, paths in by_class.items() for path in paths
        )
    ]
    keys, numbers, splits = zip(*rows, strict=True)
    _check_text(keys)
    return Samples.of(Files(keys), classes, keys, numbers, splits=splits)


def _part_folders(root: str) -> dict[str, str]:
    """Folders of class folders by part, train first; only "" where there are no splits.

    A class may be called "train", but hardly another one "test": folders are splits if all are
    called so, or if train and another split are among them.
    """
    folders = list_folder(root).folders
    named = [name for name in folders if name.lower() in SPLIT_WORDS]
    splits = {SPLIT_WORDS[name.lower()]: os.path.join(root, name) for name in named}
    if not named or (named != folders and not ("train" in splits and len(splits) > 1)):
        return {"": root}
    if "train" not in splits or len(splits) < len(named):
        raise BadData(
            f"{root} should hold a folder train, and at most one for each other split; found "
            f"{', '.join(named)}." + _EXAMPLE.format(root)
        )
    if len(named) < len(folders):
        beside = ", ".join(name for name in folders if name not in named)
        logger.warning("Ignored folders beside train in %s: %s", root, beside)
    return {split: splits[split] for split in SPLITS if split in splits}


def _classes(folder: str, others: Counter[str]) -> _Classes:
    """Find the images of each class folder in ``folder``; add other files to ``others``."""
    names, stray, files = list_folder(folder)
    if not names:
        raise BadData(_without_folders(folder, len(stray), files) + _EXAMPLE.format(folder))
    paths = [os.path.join(folder, name) for name in names]
    seen = {identity(path) for path in (folder, *paths)}
    below = [images_below(path, seen) for path in paths]
    found = {name: images for name, (images, _) in zip(names, below, strict=True)}
    rest = sum((counts for _, counts in below), files)
    _check_filled(folder, found, rest)
    others += rest
    if stray:
        shown = ", ".join([*stray[:3], "..."][: len(stray)])
        logger.warning("Ignored images beside the class folders of %s: %s", folder, shown)
    return found


def _without_folders(folder: str, images: int, files: Counter[str]) -> str:
    if images:
        return (
            f"{folder} holds images ({images:,}), but no class folders. Put the images of "
            "each class into a folder with its name."
        )
    if files:
        return f"{folder} holds no class folders, only files: {counted(files)}."
    return f"{folder} is empty."


def _check_filled(folder: str, found: _Classes, others: Counter[str]) -> None:
    empty = [name for name, paths in found.items() if not paths]
    if len(empty) == len(found):
        raise BadData(
            f"The class folders in {folder} hold no images, but {counted(others) or 'no files'}. "
            f"The names of images end in {', '.join(EXTENSIONS)}."
        )
    if empty:
        raise BadData(
            f"{len(empty)} of {len(found)} class folders in {folder} hold no images. Fill, "
            "remove or hide them (by a name that begins with a dot):",
            empty,
        )


def _check_two(folder: str, classes: _Classes) -> None:
    if len(classes) > 1:
        return
    ((name, paths),) = classes.items()
    inner = os.path.join(folder, name)
    deeper = list_folder(inner).folders
    hint = f" Did you mean {inner}, which holds {', '.join(deeper[:5])}?" if deeper[1:] else ""
    raise BadData(
        f"{folder} holds only one class, {name!r} (images: {len(paths):,}); it takes two or more."
        + (hint or _EXAMPLE.format(folder))
    )


def _check_text(paths: Sequence[str]) -> None:
    not_utf8 = re.compile("[\udc80-\udcff]")  # what Python makes of other bytes in file names
    if strange := [ascii(path) for path in paths if not_utf8.search(path)]:
        raise BadData("Names of files and folders should be UTF-8; rename:", strange)
