"""Which model a run keeps: the adapted one, or the one without adaptation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, NamedTuple

from keras_transfer.methods.adaptation import Adaptation

__all__ = ["EXAMPLES", "TARGET", "Choice", "Kept", "choose"]

logger = logging.getLogger("keras_transfer")

EXAMPLES = 2_000
"""Most examples of each domain by which an epoch, and the model, are chosen."""

TARGET = "target"
"""Name of the judged examples of the target among a run's predictions."""

Kept = Literal["adapted", "source_only"]


class Choice(NamedTuple):
    """Which model is kept, and why.

    Attributes:
        method: Name of the adaptation.
        choose_by: Name of the criterion.
        values: Of the criterion, by model; higher is better.
        kept: The model.
    """

    method: str
    choose_by: str
    values: Mapping[Kept, float]
    kept: Kept


def choose(method: Adaptation, values: Mapping[Kept, float]) -> Choice:
    """Choose by the method's criterion and its setting ``keep``; log the choice.

    Args:
        method: Settings of the adaptation.
        values: Of the criterion, without labels of the target; higher is better.
    """
    kept = _kept(method, values)
    return Choice(method.type, method.choose_by, values, kept)


def _kept(method: Adaptation, values: Mapping[Kept, float]) -> Kept:
    listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    text = f"{method.choose_by}, without labels of the target: {listed}"
    if values["adapted"] > values["source_only"]:
        logger.info("%s. The adapted model is kept", text)
        return "adapted"
    if method.keep == "adapted":
        logger.warning(
            "Warning: %s. By that the adapted model is not better; it is kept, as keep = adapted "
            "asks for",
            text,
        )
        return "adapted"
    logger.warning(
        "Warning: %s. By that %s did not help, so the model without adaptation is kept. Try "
        "another method, or --keep adapted",
        *(text, method.type),
    )
    return "source_only"
