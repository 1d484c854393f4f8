"""Predefined splits of the data: common names, and checks of their classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping

from keras_transfer.errors import BadData, UnknownName

__all__ = ["SPLIT_WORDS", "check_known", "probable_split", "split_of"]

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""The split that a folder's name or a cell of a manifest stands for."""

_FILLERS = {"set", "data", "dataset", "images", "image", "imgs", "split"}


def split_of(name: str) -> str:
    """The split that a name stands for, such as "test" for ``Testing`` or ``test_set``.

    Returns:
        "train", "val" or "test"; "" for any other name, ``seg_test`` and ``test2017`` included.
    """
    words = [word for word in _words(name) if word not in _FILLERS]
    plain = re.fullmatch(r"[A-Za-z ._-]+", name) is not None
    return SPLIT_WORDS.get(words[0], "") if plain and len(words) == 1 else ""


def probable_split(name: str) -> str:
    """The only split that a word of a name stands for: also "test" for ``seg_test``."""
    splits = {SPLIT_WORDS[word] for word in _words(name) if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else ""


def _words(name: str) -> list[str]:
    """The words of a name in lower case: of ``TrainSet``, ``TRAIN_SET`` and ``trainset`` alike."""
    parted = re.sub(r"(?i)(train|training|val|test)(set|data)(?![a-z])", r"\1_\2", name)
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", parted)]


def check_known(where: object, classes: Mapping[str, Collection[str]]) -> None:
    """Refuse classes to evaluate on that the model could never have learned.

    Args:
        where: The folder or file, for the message.
        classes: Class names by split, the split "train" among them.

    Raises:
        BadData: A class of another split is not in the train split; suggests near misses.
    """
    train = classes["train"]
    strange = [
        f"{split}: {_unknown(name, train)}"
        for split, names in classes.items()
        for name in names
        if name not in train
    ]
    if strange:
        raise BadData(
            f"{where} has classes outside train that train lacks; rename or remove them:", strange
        )


def _unknown(name: str, train: Collection[str]) -> str:
    composed = {unicodedata.normalize("NFC", known).strip(): known for known in train}
    twin = composed.get(unicodedata.normalize("NFC", name).strip())
    if twin is not None:  # they look the same
        return f"{name!a} is spelled {twin!a} in train."
    return str(UnknownName("class", name, train))
