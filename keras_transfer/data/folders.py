"""Images in folders: one folder a class, perhaps below ``train``, ``val`` and ``test``."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from keras_transfer.data.files import Files
from keras_transfer.data.layouts import EXAMPLE, Plan, plan
from keras_transfer.data.listing import Ignored, counted, identity, images_below, list_folder
from keras_transfer.data.samples import Samples
from keras_transfer.data.split_names import check_known
from keras_transfer.errors import BadData

__all__ = ["read_folder"]

logger = logging.getLogger("keras_transfer")

_Classes = dict[str, list[str]]  # paths of the images by class


def read_folder(folder: Path, layout: str = "auto", known: Collection[str] = ()) -> Samples:
    """List the images below a folder.

    ``folder`` holds class folders, or ``train`` and perhaps ``val`` (``valid``, ``validation``,
    ``dev``) and ``test`` with class folders in each, or class folders that hold ``train`` and
    ``test`` each. Folders below a class folder belong to it, those behind symbolic links too.
    What is hidden (``.name``) is left out; so are files that are images neither by suffix nor by
    content, and the folders of thumbnails that programs make, with a warning that counts them.

    Args:
        folder: The folder.
        layout: Which folders are classes, as in ``layouts.plan``.
        known: Class names of a trained model, if any; then one class is enough.

    Returns:
        Samples with paths as keys and classes sorted by name. The splits are "" where the folder
        has none, or train alone.

    Raises:
        BadData: The folder has another layout; the message says what was found.
        UnknownName: There is no such layout.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        problem = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise BadData(f"{os.path.abspath(root)} {problem}.")
    folders = plan(root, layout, known)
    ignored = _warn_of_strays(root, folders)
    classes = {split: _classes(split, folders, ignored, bool(known)) for split in folders}
    if not known:
        _check_two(folders, classes)
    if "train" in classes:
        _check_labelled(folders, classes)
        check_known(root, classes)
    ignored.warn(root)
    return _samples({"": classes["train"]} if [*classes] == ["train"] else classes)


def _samples(by_split: Mapping[str, _Classes]) -> Samples:
    """Make the table; classes are those of train, or of all splits if there is no train."""
    first = by_split.get("train") or {name: [] for split in by_split.values() for name in split}
    classes = sorted(first)
    labels = {name: label for label, name in enumerate(classes)}
    rows = [
        (path, label, split)
        for split, by_class in by_split.items()
        for path, label in sorted(
            (path, labels[name]) for name, paths in by_class.items() for path in paths
        )
    ]
    keys, numbers, splits = zip(*rows, strict=True)
    _check_text(keys)
    return Samples.of(Files(keys), classes, keys, numbers, splits=splits)


def _warn_of_strays(root: str, folders: Plan) -> Ignored:
    """Log the images outside of the class folders; return what else was ignored."""
    ignored = Ignored.nothing()
    above = {os.path.dirname(path) for home in folders.values() for path in home.classes.values()}
    for folder in sorted({root} | above):
        listing = list_folder(folder)
        ignored.add(listing.ignored)
        if listing.images and folders[next(iter(folders))].classes:
            shown = ", ".join([*listing.images[:3], "..."][: len(listing.images)])
            number = f"{len(listing.images):,}"
            logger.warning(
                "Ignored images (%s) outside the class folders of %s: %s", number, folder, shown
            )
    return ignored


def _classes(split: str, folders: Plan, ignored: Ignored, evaluated: bool) -> _Classes:
    """Find the images of each class of a split; add what is ignored to ``ignored``."""
    home, classes = folders[split]
    if not classes:
        raise BadData(_without_classes(split, folders) + EXAMPLE.format(home))
    paths = [*classes.values()]
    # A link from one class folder to another must not list its images twice.
    seen = {identity(path) for path in (home, *map(os.path.dirname, paths), *paths)}
    below = [images_below(path, seen) for path in paths]
    images = {name: images for name, (images, _) in zip(classes, below, strict=True)}
    skipped = Ignored.nothing()
    for _, others in below:
        skipped.add(others)
    _check_filled(home, images, skipped, evaluated or split in ("val", "test"))
    ignored.add(skipped)
    return images


def _without_classes(split: str, folders: Plan) -> str:
    home = folders[split].home
    _, images, ignored = list_folder(home)
    if not images:
        files = counted(ignored.files)
        return (
            f"{home} holds no class folders, only files: {files}." if files else f"{home} is empty."
        )
    problem = f"{home} holds images ({len(images):,}), but no class folders."
    if split in ("val", "test") and "train" in folders and folders["train"].classes:
        return f"{problem} {_unlabelled(split, folders)}"
    also = " If it is a class itself, say --layout class." if split else ""
    return f"{problem} Put the images of each class into a folder with its name.{also}"


def _unlabelled(split: str, folders: Plan) -> str:
    home, train = folders[split].home, folders["train"].home
    return (
        f"Without labels there are no metrics: train with --data {train}, then classify them "
        f"with `kt-recipe predict RUN {home}`; or put those of each class into a folder with its "
        "name."
    )


def _check_filled(home: str, classes: _Classes, ignored: Ignored, evaluated: bool) -> None:
    """Refuse empty class folders; in splits for evaluation only some may be empty."""
    empty = [name for name, paths in classes.items() if not paths]
    if len(empty) == len(classes):
        raise BadData(
            f"The class folders in {home} hold no images, but "
            f"{counted(ignored.files) or 'no files'}."
        )
    if empty and evaluated:
        logger.warning("There are no images of %s in %s", ", ".join(empty), home)
    elif empty:
        raise BadData(
            f"{len(empty)} of {len(classes)} class folders in {home} hold no images. Fill, "
            "remove or hide them (by a name that begins with a dot):",
            empty,
        )


def _check_two(folders: Plan, by_split: Mapping[str, _Classes]) -> None:
    """Refuse a single class to train on; suggest the folder in it that holds several."""
    split, classes = next(iter(by_split.items()))
    if len(classes) > 1:
        return
    ((name, paths),) = classes.items()
    home, inner = folders[split].home, folders[split].classes[name]
    deeper = list_folder(inner).folders
    hint = f" Did you mean {inner}, which holds {', '.join(deeper[:5])}?" if deeper[1:] else ""
    raise BadData(
        f"{home} holds only one class, {name!r} (images: {len(paths):,}); it takes two or more."
        + (hint or EXAMPLE.format(home))
    )


def _check_labelled(folders: Plan, by_split: Mapping[str, _Classes]) -> None:
    """Refuse a split whose only folder is not a class, such as ``test/unknown``."""
    for split, classes in by_split.items():
        if len(classes) == 1 and not {*classes} <= {*by_split["train"]}:
            ((name, paths),) = classes.items()
            raise BadData(
                f"{folders[split].home} holds images ({len(paths):,}) in one folder, {name}, "
                f"which is no class of the train split. {_unlabelled(split, folders)}"
            )


def _check_text(paths: Sequence[str]) -> None:
    not_utf8 = re.compile("[\udc80-\udcff]")  # what Python makes of other bytes in file names
    if strange := [ascii(path) for path in paths if not_utf8.search(path)]:
        raise BadData("Names of files and folders should be UTF-8; rename:", strange)
