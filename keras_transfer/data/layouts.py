"""Which folders are classes and which are splits, by the setting or by their names."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, TypeVar

from keras_transfer.data.listing import list_folder, outline
from keras_transfer.data.samples import SPLITS
from keras_transfer.data.split_names import SPLIT_WORDS, probable_split, split_of
from keras_transfer.errors import BadData
from keras_transfer.tables import Table

__all__ = ["EXAMPLE", "LAYOUTS", "Layout", "Plan", "plan"]

logger = logging.getLogger("keras_transfer")

Layout = Literal["auto", "split/class", "class/split", "class"]

T = TypeVar("T")


class SplitFolders(NamedTuple):
    """Folders of the images of a split.

    Attributes:
        home: The folder of the split, or that of all of them.
        classes: The folder of each class by its name.
    """

    home: str
    classes: dict[str, str]


Plan = dict[str, SplitFolders]
"""By split: train, val, test in this order, or only ""."""

EXAMPLE = """
Expected one folder per class, such as
  {0}/cat/1.jpg
  {0}/dog/2.jpg"""


def plan(root: str, layout: str = "auto", known: Collection[str] = ()) -> Plan:
    """Decide which folders below ``root`` are classes, and of which split.

    * "class": ``cat``, ``dog``; folders below them belong to them.
    * "split/class": ``train/cat``, ``train/dog``, ``test/cat``, ...
    * "class/split": ``cat/train``, ``cat/test``, ``dog/train``, ...
    * "auto": the names decide. Where they do not, and folders of the same names lie in each
      folder, or some names look like those of splits, the user has to.

    Args:
        root: The folder; it exists.
        layout: A row of ``LAYOUTS``.
        known: Class names of a trained model, if any; "auto" uses them.

    Raises:
        BadData: The folder is laid out otherwise, or can be read in two ways.
        UnknownName: There is no such layout.
    """
    read = LAYOUTS[layout]
    names = list_folder(root).folders
    return read(root, names, known)


# --- the layouts ------------------------------------------------------------------------------


def _class(root: str, names: list[str], known: Collection[str]) -> Plan:
    return {"": _folders_in(root, names)}


def _folders_in(home: str, names: list[str]) -> SplitFolders:
    return SplitFolders(home, {name: os.path.join(home, name) for name in names})


def _split_class(root: str, names: list[str], known: Collection[str]) -> Plan:
    """Splits by their names; where the user says that they are, ``seg_train`` is one too."""
    clear = {name: split for name in names if (split := split_of(name))}
    # A clear name wins: with test/ beside it, seg_test/ is no split.
    probable = {
        name: split for name, split in _probable(names).items() if split not in clear.values()
    }
    strange = [
        name
        for name in names
        if name not in clear | probable and list_folder(os.path.join(root, name)).folders
    ]
    if strange:
        raise BadData(
            f"--layout split/class: the folders in {root} should be called "
            f"{', '.join(SPLIT_WORDS)}. Rename or remove:",
            strange,
        )
    return _by_split(root, names, clear | probable, known)


def _by_split(
    root: str, names: list[str], by_name: Mapping[str, str], known: Collection[str]
) -> Plan:
    splits = {split: os.path.join(root, name) for name, split in by_name.items()}
    if ("train" not in splits and not known) or len(splits) < len(by_name):
        raise BadData(
            f"{root} should hold a folder train, and at most one for each other split; found "
            f"{_some([*(by_name or names)])}." + EXAMPLE.format(root)
        )
    if ignored := [name for name in names if name not in by_name]:
        logger.warning("Ignored folders next to train in %s: %s", root, ", ".join(ignored))
    _say(root, "split/class", by_name)
    return {
        split: _folders_in(folder, list_folder(folder).folders)
        for split, folder in _ordered(splits).items()
    }


def _class_split(root: str, names: list[str], known: Collection[str]) -> Plan:
    splits: dict[str, SplitFolders] = {}
    names_of_splits: dict[str, str] = {}
    for name in names:
        for inner in list_folder(os.path.join(root, name)).folders:
            split = split_of(inner) or probable_split(inner)
            home = splits.setdefault(split, SplitFolders(root, {}))
            if not split or name in home.classes:
                raise BadData(
                    f"{os.path.join(root, name)} should hold a folder for each split, called "
                    f"{', '.join(SPLIT_WORDS)}; found {inner}. Rename it, or choose another "
                    "--layout."
                )
            home.classes[name] = os.path.join(root, name, inner)
            names_of_splits[inner] = split
    if "train" not in splits and not known:
        raise BadData(f"The folders in {root} should hold a folder train each; found none.")
    _say(root, "class/split", names_of_splits)
    return _ordered(splits)


def _auto(root: str, names: list[str], known: Collection[str]) -> Plan:
    below = {name: outline(os.path.join(root, name)) for name in names}
    if _splits_inside(below):
        return _class_split(root, names, known)
    # Before names of splits: a model may know a class called test.
    if known and set(names) <= set(known):
        return _class(root, names, known)
    if _splits_outside(names):
        clear = {name: split for name in names if (split := split_of(name))}
        return _by_split(root, names, clear, known)
    inner = {name for folders, _ in below.values() for name in folders}
    if known and inner and inner <= set(known) and len(_probable(names)) == len(names):
        return _split_class(root, names, known)
    if not known and (doubt := _doubt(names, below)):
        raise BadData(f"{root} can be read in several ways: {doubt} Choose one:", _readings(below))
    return _class(root, names, known)


LAYOUTS = Table(
    "layout",
    {"auto": _auto, "split/class": _split_class, "class/split": _class_split, "class": _class},
)
"""Values of the setting ``layout``."""


def _ordered(by_split: Mapping[str, T]) -> dict[str, T]:
    return {split: by_split[split] for split in SPLITS if split in by_split}


def _say(root: str, layout: str, splits: Mapping[str, str]) -> None:
    by_rank = sorted(splits.items(), key=lambda item: SPLITS.index(item[1]))
    renamed = [f"{name} is {split}" for name, split in by_rank if name.lower() != split]
    if renamed:
        logger.info("Layout of %s: %s; %s", root, layout, ", ".join(renamed))


# --- layout from names ------------------------------------------------------------------------

_Below = Mapping[
    str, tuple[list[str], bool]
]  # subfolders of each folder, and whether it has images


def _splits_outside(names: list[str]) -> bool:
    """Whether the folders are splits for certain.

    A class may be called "train", but hardly another one "test": all are called so, or train
    and another split are among them.
    """
    splits = [split for name in names if (split := split_of(name))]
    several = "train" in splits and len(set(splits)) > 1
    return bool(splits) and (len(splits) == len(names) or several)


def _splits_inside(below: _Below) -> bool:
    """Whether each folder holds nothing but splits, train and another among them."""
    splits = [[split_of(name) for name in folders] for folders, _ in below.values()]
    every = {split for inner in splits for split in inner}
    plain = not any(images for _, images in below.values())
    outside = [name for name in below if split_of(name)]
    return plain and all(splits) and "" not in every and {"train"} < every and not outside


def _doubt(names: list[str], below: _Below) -> str:
    """Why these may not be class folders; empty if there is no such reason."""
    only_folders = [name for name, (folders, images) in below.items() if folders and not images]
    probable = _probable(names)
    if len(set(probable.values())) > 1 and (
        len(probable) == len(names) or set(probable) <= set(only_folders)
    ):
        return f"{_some([*probable])} may be splits."
    alike = len(only_folders) == len(names) > 1 and _alike([set(f) for f, _ in below.values()])
    if alike:
        return f"each of its folders holds the same folders, {_some(sorted(alike))}."
    for name in only_folders:
        if split_of(name) == "train" and len(below[name][0]) > 1:
            return f"{name} holds only folders, so it may be a split."
    for name, (folders, _) in below.items():
        if len(splits := {split for inner in folders if (split := split_of(inner))}) > 1:
            return f"{name} holds folders that may be splits, {_some(sorted(splits))}."
    return ""


def _alike(folders: list[set[str]]) -> set[str]:
    """The shared names if all folders hold subsets of one of them; otherwise empty."""
    largest = max(folders, key=len)
    return largest if len(largest) > 1 and all(names <= largest for names in folders) else set()


def _probable(names: Collection[str]) -> dict[str, str]:
    return {name: split for name in names if (split := probable_split(name))}


def _readings(below: _Below) -> list[str]:
    outer = [*below]
    inner = sorted({name for folders, _ in below.values() for name in folders})
    readings = [f"--layout class: the classes are {_some(outer)}"]
    if inner:
        rename = "" if len(_probable(outer)) == len(outer) else " (rename them train, val, test)"
        readings.append(
            f"--layout split/class: {_some(outer)} are splits{rename}, the classes are "
            f"{_some(inner)}"
        )
    if inner and len(_probable(inner)) == len(inner):
        readings.append(
            f"--layout class/split: the classes are {_some(outer)}, each with the splits "
            f"{_some(inner)}"
        )
    return readings


def _some(names: list[str]) -> str:
    return ", ".join([*names[:5], *(["..."] if len(names) > 5 else [])])
