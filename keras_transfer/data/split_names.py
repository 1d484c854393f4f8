"""The splits that data bring along: what people call them, and what they must have in common."""

from collections.abc import Collection, Mapping

from keras_transfer.errors import BadData, UnknownName

__all__ = ["SPLIT_WORDS", "check_known"]

SPLIT_WORDS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
"""The part that a folder's name or an entry of a manifest stands for."""


def check_known(where: object, classes: Mapping[str, Collection[str]]) -> None:
    """Refuse classes to evaluate on that the model could never have learned.

    Args:
        where: The folder or file, for the message.
        classes: Class names by part, the split "train" among them.

    Raises:
        BadData: A class of another split is not in the train split; suggests near misses.
    """
    train = classes["train"]
    strange = [
        f"{split}: {UnknownName('class', name, train)}"
        for split, names in classes.items()
        for name in names
        if name not in train
    ]
    if strange:
        raise BadData(
            f"{where} has classes outside train that train lacks; rename or remove them:", strange
        )
