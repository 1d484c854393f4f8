"""The parts that data bring along: what people call them, and what they must have in common."""

from collections.abc import Collection, Mapping

from keras_transfer.errors import BadData, UnknownName

__all__ = ["PART_WORDS", "check_known"]

PART_WORDS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""The part that a folder's name or an entry of a manifest stands for."""


def check_known(where: object, classes: Mapping[str, Collection[str]]) -> None:
    """Refuse classes to evaluate on that the model could never have learned.

    Args:
        where: The folder or file, for the message.
        classes: Class names by part, the part "train" among them.

    Raises:
        BadData: A class of another part is not in the train part; suggests near misses.
    """
    train = classes["train"]
    strange = [
        f"{part}: {UnknownName('class', name, train)}"
        for part, names in classes.items()
        for name in names
        if name not in train
    ]
    if strange:
        raise BadData(
            f"{where} has classes outside train that train lacks; rename or remove them:", strange
        )
