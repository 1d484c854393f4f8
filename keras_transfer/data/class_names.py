"""Checks of class names: missing values, and one class in two spellings."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from keras_transfer.errors import BadData

__all__ = ["check_classes", "is_missing"]

logger = logging.getLogger("keras_transfer")

_MISSING = {"nan", "-nan", "<na>", "nat", "null", "#n/a", "n/a"}
"""What programs write for a missing value (lower case); "none" and "NA" may be classes."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_CONTROL = {"Cc", "Zl", "Zp"}  # Unicode categories: control characters, line separators


def is_missing(name: str) -> bool:
    """Whether a cell or a label holds no value: empty, or what pandas and others write then."""
    return name.strip().lower() in _MISSING | {""}


def check_classes(where: str, classes: Sequence[str], counts: np.ndarray) -> None:
    """Refuse names that are missing values, or one class in two spellings.

    Names count as one that differ in case, in spaces, in the Unicode form of their letters, in
    invisible characters, or in how a number is written (``1``, ``1.0``, ``01``). Single letters
    may differ in case: ``a`` and ``A`` are classes of handwriting.

    Args:
        where: The data, for the message.
        classes: The names.
        counts: (classes,) int, images of each class.

    Raises:
        BadData: Lists the names at fault with the numbers of their images.
    """
    shown = {
        name: f"{name!a} (images: {n:,})" for name, n in zip(classes, counts.tolist(), strict=True)
    }
    if strange := [name for name in classes if _has_control(name)]:
        raise BadData(
            f"The names of classes in {where} hold line breaks or other control characters, which "
            "files of labels cannot hold; rename:",
            [shown[name] for name in strange],
        )
    if missing := [name for name in classes if is_missing(name)]:
        raise BadData(
            f"Classes in {where} have the name of a missing value; give these images a label, "
            "leave them out, or rename the class:",
            [shown[name] for name in missing],
        )
    if twins := [" and ".join(shown[name] for name in same) for same in _spellings(classes)]:
        raise BadData(
            f"Classes in {where} differ in case, spaces, Unicode form or the writing of a number "
            "alone. Give all of their images the same label, or names that differ more:",
            twins,
        )
    cases = [
        shown[name] for name in classes if len(name) == 1 and name.swapcase() in {*classes} - {name}
    ]
    if cases:
        logger.info("Classes that differ only in case are kept separate: %s", ", ".join(cases))


def _has_control(name: str) -> bool:
    return any(unicodedata.category(character) in _CONTROL for character in name)


def _spellings(classes: Iterable[str]) -> list[list[str]]:
    """Groups of names that are spellings of one name."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(_spoken(name), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _spoken(name: str) -> str:
    """Normalized form of a name, equal for all of its spellings."""
    # NFKC joins composed and decomposed letters, and full-width ones with plain ones.
    plain = unicodedata.normalize("NFKC", name)
    # Cf: zero-width spaces and joiners, marks of writing direction.
    visible = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")
    text = " ".join(visible.split())
    if _NUMBER.fullmatch(text):
        return str(float(text))
    # Folding of case may leave the normal form, so it is restored.
    return text if len(text) == 1 else unicodedata.normalize("NFKC", text.casefold())
