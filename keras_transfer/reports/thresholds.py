"""What a page says of the thresholds that were chosen for a recall or precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_transfer.evaluation.thresholds import PLAIN
from keras_transfer.reports.wording import Table, interval, percent, quoted, short, table

__all__ = ["Thresholds", "plain_accuracy", "shortfall", "threshold_sentences", "thresholds_of"]

RATES = ("recall", "precision", "specificity")


class Thresholds(NamedTuple):
    """The thresholds of an output.

    Attributes:
        text: What was asked for.
        table: Of each class or label what it does on test, at the threshold and at 0.5.
    """

    text: str
    table: Table


def thresholds_of(test: Mapping[str, Any]) -> Thresholds | None:
    """The thresholds in an output's test metrics; None where none was asked for."""
    found = test.get("threshold")
    if not found:
        return None
    ((metric, wanted),) = found["asked"].items()
    other = "precision" if metric == "recall" else "recall"
    text = (
        f"Chosen on val: of the thresholds with a {metric} of at least {percent(wanted)} there, "
        f"the one with the highest {other}. The table is of the test split, with 95 % intervals "
        "(Wilson)."
    )
    header = ["", "threshold", *RATES, "F1"]
    rows = [row for name, one in _rows(found).items() for row in _both(name, one)]
    return Thresholds(text, table(header, rows))


def threshold_sentences(test: Mapping[str, Any]) -> list[str]:
    """A sentence of the verdict on the threshold of a class; none where there is none."""
    found = test.get("threshold")
    if not found or "positive" not in found:
        return []
    name, ((metric, wanted),) = quoted(found["positive"]), found["asked"].items()
    if found["value"] is None:
        return [
            f"No threshold has a {metric} of {percent(wanted)} of {name} on val: the answers are "
            "those at 0.5."
        ]
    return [
        f"At its threshold of {found['value']:.3f}, chosen on val for a {metric} of "
        f"{percent(wanted)}, it finds {_rate(found, 'recall')} of {name} on test, and "
        f"{_rate(found, 'precision')} of what it calls {name} is right."
    ]


def shortfall(test: Mapping[str, Any]) -> tuple[str, str] | None:
    """What to worry about where test clearly lacks what was asked for, and what to do."""
    found = test.get("threshold")
    if not found:
        return None
    ((metric, wanted),) = found["asked"].items()
    missed = [
        name
        for name, row in _rows(found).items()
        if row["value"] is not None
        and row[f"{metric}_interval"] is not None
        and row[f"{metric}_interval"][1] < wanted
    ]
    if not missed:
        return None
    names = ", ".join(map(quoted, missed[:3])) + (", ..." if len(missed) > 3 else "")
    return (
        f"On test the {metric} of {names} is below the {percent(wanted)} that its threshold had "
        "on val.",
        "Hold out more val examples (--set split.val=0.3), or ask for more than you need.",
    )


def plain_accuracy(test: Mapping[str, Any]) -> Mapping[str, Any]:
    """Test metrics whose ``accuracy`` says what was learnt: without a threshold of a class."""
    plain: Mapping[str, Any] = test.get("threshold", {}).get(PLAIN, test)
    return plain


def _rows(found: Mapping[str, Any]) -> dict[str, Any]:
    return found.get("per_label") or {found["positive"]: found}


def _both(name: str, found: Mapping[str, Any]) -> list[list[str]]:
    plain = _row(f"{short(name)} at 0.5", 0.5, found[PLAIN])
    if found["value"] is None:
        return [[short(name), "not reached", "-", "-", "-", "-"], plain]
    return [_row(short(name), found["value"], found), plain]


def _row(name: str, threshold: float, found: Mapping[str, Any]) -> list[str]:
    f1 = "-" if found["f1"] is None else f"{found['f1']:.3f}"
    return [name, f"{threshold:.4f}", *(_rate(found, rate) for rate in RATES), f1]


def _rate(found: Mapping[str, Any], name: str) -> str:
    if found[name] is None:
        return "-"
    return f"{percent(found[name])} ({interval(found[f'{name}_interval'])})"
