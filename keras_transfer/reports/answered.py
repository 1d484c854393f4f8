"""What a network answered for an example, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras_transfer.data.samples import LABEL
from keras_transfer.objectives.rejection import UNKNOWN
from keras_transfer.reports.wording import percent, short
from keras_transfer.runs.prediction import Prediction

__all__ = ["Answered", "answered"]

NO_LABEL = "no label"
MAX_LINES = 8
"""Entities, labels or values of an example that are listed."""


class Answered(NamedTuple):
    """A prediction as the page shows it.

    Attributes:
        place: Among all predictions.
        groups: Names of the groups that it belongs to: its class, or its labels.
        title: The answer in a few words.
        share: Probability of the first output's class; None of other objectives.
        lines: What else is known.
        unknown: Whether the first output's answer is that the example is like none of training.
    """

    place: int
    groups: tuple[str, ...]
    title: str
    share: float | None
    lines: tuple[str, ...]
    unknown: bool


def answered(place: int, one: Prediction, said: Callable[[Prediction], str] | None) -> Answered:
    """Describe a prediction.

    Args:
        place: Among all predictions.
        one: Of an example that can be used.
        said: Gives a line more, such as its prediction set; None: there is none.
    """
    several = [*one.outputs] != [LABEL]
    groups: list[str] = []
    lines: list[str] = []
    titles, share = [], None
    for name, answer in one.answers().items():
        before = f"{name}: " if several else ""
        found, shown, probability, more = _answer(one, name, answer)
        if not groups:  # those of the first output: its classes, or its labels
            groups, share = found, probability
        titles.append(before + shown)
        lines += [before + line for line in more]
    if said is not None and (line := said(one)):
        lines.append(line)
    return Answered(place, tuple(groups), "; ".join(titles), share, tuple(lines), one.unknown())


def _answer(
    one: Prediction, output: str, answer: Any
) -> tuple[list[str], str, float | None, list[str]]:
    """Groups, title, probability and lines of the answer of an output."""
    objective, top = one.outputs[output].objective, one.top(MAX_LINES, output)
    if objective.per_token:
        types = [*dict.fromkeys(str(entity["type"]) for entity in answer)] or ["no entity"]
        lines = [
            f"{short(entity['type'], 20)}: {short(entity['text'], 60)} {entity['score']:.2f}"
            for entity in answer[:MAX_LINES]
        ]
        many = f"and {len(answer) - MAX_LINES} more"
        count = f"{len(answer)} entities" if len(answer) != 1 else "1 entity"
        return types, count, None, lines + [many] * (len(answer) > MAX_LINES)
    if isinstance(answer, tuple):  # labels
        lines = [f"{short(name, 30)} {percent(score)}" for name, score in top]
        shown = ", ".join(short(name, 30) for name in answer) or NO_LABEL
        return list(answer) or [NO_LABEL], shown, None, lines
    if objective.activation == "linear":
        values = [
            f"{score:.5g}" if len(top) == 1 else f"{short(name, 30)} {score:.5g}"
            for name, score in top
        ]
        return (
            ["values"],
            values[0] if len(top) == 1 else f"{len(top)} values",
            None,
            ([] if len(top) == 1 else values),
        )
    classes = [(name, score) for name, score in top if name != UNKNOWN or answer != UNKNOWN]
    best, share = classes[0] if classes else (str(answer), 0.0)
    said = (
        f"{percent(share)}" if answer == best else f"most like {short(best, 30)}, {percent(share)}"
    )
    others = [f"or {short(name, 30)} {percent(score)}" for name, score in classes[1:2]]
    return [str(answer)], short(answer, 40), share, [said, *others]
