"""Thresholds of a score, chosen on the val split, and what they do on other examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.evaluation.intervals import wilson_interval
from keras_transfer.evaluation.layout import shown

__all__ = [
    "DEFAULT",
    "PLAIN",
    "at_precision",
    "at_recall",
    "best_f1",
    "operating_metrics",
    "operating_report",
    "operating_text",
    "rate_text",
    "reached",
    "too_few",
]

DEFAULT = 0.5
"""The threshold where none is chosen."""

PLAIN = "at_0.5"
"""Where the metrics at the default threshold are."""
RATES = ("recall", "precision", "specificity")


def reached(scores: np.ndarray, thresholds: Any) -> np.ndarray:
    """Whether scores are at least a threshold, as float32: what a graph compares.

    A float64 score may lie below a threshold that it rounds up to.

    Args:
        scores: (...) float.
        thresholds: A number, or an array that is broadcast.

    Returns:
        (...) bool; false for NaN.
    """
    return np.asarray(scores, "float32") >= np.asarray(thresholds, "float32")


class _Cuts(NamedTuple):
    """Every way in which a threshold can part n scores; a threshold lies above ``lower``.

    Attributes:
        lower: (k,) float32, the next lower score; 0 below the lowest.
        upper: (k,) float32, the lowest score that reaches the threshold, ascending.
        predicted: (k,) int, number of scores that reach it.
        hits: (k,) int, the positive ones among them.
        positives: Number of positive examples.
    """

    lower: np.ndarray
    upper: np.ndarray
    predicted: np.ndarray
    hits: np.ndarray
    positives: int


def _cuts(true: np.ndarray, scores: np.ndarray) -> _Cuts:
    # float32, the dtype of a network's scores: a threshold must separate them there too.
    upper, index = np.unique(np.asarray(scores).astype("float32"), return_inverse=True)
    counts, positives = np.bincount(index), np.bincount(index[true], minlength=len(upper))
    predicted, hits = (np.cumsum(x[::-1])[::-1] for x in (counts, positives))
    return _Cuts(np.append(np.float32(0), upper[:-1]), upper, predicted, hits, int(true.sum()))


def _between(cuts: _Cuts) -> np.ndarray:
    """(k,) float32: half way between the scores on both sides, which any such threshold parts."""
    middle = (cuts.lower + cuts.upper) / 2
    return np.where(middle > cuts.lower, middle, cuts.upper)  # neighbouring floats


def best_f1(true: np.ndarray, scores: np.ndarray) -> float:
    """The threshold with the highest F1.

    Of several equally good ones the one nearest to 0.5 (the lower one in a tie), and 0.5 itself
    where it is among the best, or where there are no positives.

    Args:
        true: (n,) bool.
        scores: (n,) float in [0, 1].
    """
    if not true.any():
        return DEFAULT
    cuts = _cuts(true, scores)
    f1 = 2 * cuts.hits / (cuts.predicted + cuts.positives)  # equal fractions are equal floats
    best = f1 == f1.max()
    if np.any(best & (cuts.lower < DEFAULT) & (cuts.upper >= DEFAULT)):
        return DEFAULT
    middle = _between(cuts)[best]
    return float(middle[np.argmin(np.abs(middle - DEFAULT))])


def at_recall(true: np.ndarray, scores: np.ndarray, recall: float) -> float | None:
    """The threshold with the highest precision of those that reach a recall.

    Of several equally precise ones the lowest, which has the highest recall. It lies half way
    between two scores.

    Args:
        true: (n,) bool.
        scores: (n,) float in [0, 1].
        recall: Above 0, at most 1.

    Returns:
        A threshold that scores must reach; None without positives.
    """
    return _best(true, scores, lambda cuts: cuts.hits / cuts.positives >= recall, by_recall=False)


def at_precision(true: np.ndarray, scores: np.ndarray, precision: float) -> float | None:
    """The threshold with the highest recall of those that reach a precision.

    Of several with that recall the highest, which is the most precise.

    Args:
        true: (n,) bool.
        scores: (n,) float in [0, 1].
        precision: Above 0, at most 1.

    Returns:
        A threshold that scores must reach; None if none has that precision.
    """
    return _best(true, scores, lambda cuts: cuts.hits / cuts.predicted >= precision, by_recall=True)


def _best(true: np.ndarray, scores: np.ndarray, reaches: Any, *, by_recall: bool) -> float | None:
    if not true.any():
        return None
    cuts = _cuts(true, scores)
    places = np.flatnonzero(reaches(cuts) & (cuts.hits > 0))
    if not len(places):
        return None
    precision, hits = (cuts.hits / cuts.predicted)[places], cuts.hits[places]
    # lexsort: the last key counts most.
    order = np.lexsort((precision, hits) if by_recall else (hits, precision))
    return float(_between(cuts)[places[order[-1]]])


def operating_metrics(
    true: np.ndarray, scores: np.ndarray, threshold: float, families: np.ndarray | None = None
) -> dict[str, Any]:
    """What a threshold does: recall, precision, specificity and accuracy, and F1.

    A metric is None where it is not defined: recall without positives, precision where nothing
    is predicted, specificity without negatives.

    Args:
        true: (n,) bool.
        scores: (n,) float; positive is predicted where one is ``reached``.
        threshold: In [0, 1].
        families: (n,) copies of an example have the same value and count once in intervals.

    Returns:
        ``n``, ``positives``, ``predicted``, ``f1``, and each rate with its ``_interval`` (95 %,
        Wilson); of recall and precision ``_limit``, the highest lower bound that so few examples
        can show.
    """
    predicted = reached(scores, threshold)
    of = np.arange(len(true)) if families is None else np.asarray(families)
    found: dict[str, Any] = {"n": len(true), "positives": int(true.sum())}
    found["predicted"] = int(predicted.sum())
    every, right = np.ones(len(true), bool), true == predicted
    parts = ((true, predicted), (predicted, true), (~true, ~predicted), (every, right))
    for name, (among, right) in zip((*RATES, "accuracy"), parts, strict=True):
        share = float(right[among].mean()) if among.any() else None
        found[name], found[f"{name}_interval"] = share, None
        if share is not None:
            sizes = np.unique(of[among], return_counts=True)[1]
            found[f"{name}_interval"] = wilson_interval(share, sizes)
        if name in ("recall", "precision"):
            # What could be shown at best, if all of them were right.
            best = 0.0 if share is None else wilson_interval(1.0, sizes)[0]
            found[f"{name}_limit"] = best
    hits, total = int((true & predicted).sum()), int(true.sum() + predicted.sum())
    found["f1"] = 2 * hits / total if total else None
    return found


def operating_report(
    true: np.ndarray,
    scores: np.ndarray,
    threshold: float | None,
    families: np.ndarray | None = None,
) -> dict[str, Any]:
    """``operating_metrics`` at a threshold, and as "at_0.5" at the default one.

    Args:
        true: (n,) bool.
        scores: (n,) float.
        threshold: The chosen one; None: none was found, and only the default one is measured.
        families: As for ``operating_metrics``.
    """
    plain = operating_metrics(true, scores, DEFAULT, families)
    own = {} if threshold is None else operating_metrics(true, scores, threshold, families)
    return {"value": threshold, **own, PLAIN: plain}


def operating_text(found: Mapping[str, Any]) -> str:
    """Thresholds for people: what they are, what they do, and what 0.5 does.

    Args:
        found: "asked", a metric of val and its value; and of a class "positive" and what
            ``operating_report`` gives, of labels such reports by name as "per_label".
    """
    ((metric, value),) = found["asked"].items()
    rows = found.get("per_label") or {found["positive"]: found}
    lines = [f"thresholds for a {metric} of {value:g} on val (95 % intervals)"]
    for name, row in rows.items():
        own = "not reached" if row["value"] is None else f"{row['value']:.4f}"
        lines.append(f"  {name}: {own}" + ("" if row["value"] is None else f"  {_rates(row)}"))
        lines.append(f"  {name} at 0.5:  {_rates(row[PLAIN])}")
    return "\n".join(lines)


def _rates(found: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{name} {rate_text(found, name)}" for name in RATES)
    return f"{rates}, F1 {shown(found['f1'])}"


def rate_text(found: Mapping[str, Any], name: str) -> str:
    """A rate of ``operating_metrics`` with its interval; "-" where it is not defined."""
    if found[name] is None:
        return "-"
    low, high = found[f"{name}_interval"]
    return f"{found[name]:.3f} ({low:.3f} to {high:.3f})"


def too_few(wanted: float, found: Mapping[str, Any], metric: str) -> float | None:
    """The highest lower bound of a rate that so few examples can show, if it is below the target.

    It is that of Wilson's 95 % interval if all of them were right; copies count once.

    Args:
        wanted: The rate that is asked for.
        found: ``operating_metrics`` of val.
        metric: "recall" (of the positives) or "precision" (of the predicted).
    """
    bound: float = found[f"{metric}_limit"]
    return bound if bound < wanted else None
