"""Metrics of predicted masked tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.atomic import write_csv
from keras_transfer.evaluation.layout import interval_text, title

__all__ = [
    "Answers",
    "masked_headline",
    "masked_metrics",
    "masked_summary",
    "unigram_answers",
    "write_answers",
]

Z = 1.959964  # 97.5 % quantile of the normal distribution


class Answers(NamedTuple):
    """What was predicted for m masked tokens of some texts.

    Attributes:
        texts: (m,) int64 number of the text of each.
        positions: (m,) int64 its place in the text, [CLS] is 0.
        true: (m,) int64 the token that stood there.
        predicted: (m,) int64 the likeliest token.
        log_probabilities: (m,) float64 natural logarithm of the probability of the true token.
    """

    texts: np.ndarray
    positions: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    log_probabilities: np.ndarray


def masked_metrics(answers: Answers, families: np.ndarray | None = None) -> dict[str, Any]:
    """Accuracy and perplexity, with 95 % intervals.

    The tokens of a text are not independent, and copies of a text are no further evidence, so
    different texts are the units: variance of a ratio of sums over them, linearised (Cochran 1977,
    Sampling Techniques, 6.19).

    Args:
        answers: At least one.
        families: (texts,) copies of a text have the same value; None: all texts differ.

    Returns:
        ``masked_accuracy``, ``perplexity`` = exp(mean of -log p) and their intervals (None for a
        single text); ``cross_entropy``, that mean; ``n`` tokens of ``texts`` different texts.
    """
    right = (answers.true == answers.predicted).astype(float)
    losses = -answers.log_probabilities
    unit = answers.texts if families is None else families[answers.texts]
    number = np.unique(unit, return_inverse=True)[1]
    accuracy, spread = _ratio(right, number)
    loss, wide = _ratio(losses, number)
    both = (-Z, Z)
    known = spread is not None and wide is not None
    return {
        "masked_accuracy": accuracy,
        "masked_accuracy_interval": (
            [float(np.clip(accuracy + z * spread, 0, 1)) for z in both] if known else None
        ),
        "perplexity": float(np.exp(loss)),
        "perplexity_interval": [float(np.exp(loss + z * wide)) for z in both] if known else None,
        "cross_entropy": loss,
        "n": len(right),
        "texts": int(number.max()) + 1 if len(number) else 0,
    }


def masked_headline(metrics: Mapping[str, Any]) -> str:
    """The main metrics in a line."""
    return (
        f"masked accuracy {metrics['masked_accuracy']:.4f}, perplexity {metrics['perplexity']:.4g}"
    )


def masked_summary(metrics: Mapping[str, Any]) -> str:
    """The metrics with their intervals, for people to read in a terminal."""
    rows = []
    for name, form in (("masked_accuracy", ".4f"), ("perplexity", ".4g")):
        said = interval_text(metrics[f"{name}_interval"], metrics["n"], form)
        said = said.replace("examples", "masked tokens")
        rows.append(f"{title(name):<16}{metrics[name]:{form}}{said}")
    return "\n".join(rows)


def _ratio(values: np.ndarray, number: np.ndarray) -> tuple[float, Any]:
    """Mean of (m,) values, and its standard error by the group that each belongs to."""
    sums, counts = np.bincount(number, values), np.bincount(number).astype(float)
    mean, groups = float(sums.sum() / counts.sum()), len(counts)
    if groups < 2:
        return mean, None
    residuals = sums - mean * counts
    return mean, float(np.sqrt(groups / (groups - 1) * (residuals**2).sum()) / counts.sum())


def unigram_answers(answers: Answers, counts: np.ndarray) -> Answers:
    """The same tokens, predicted by how often each token occurs, whatever stands around it.

    Args:
        answers: Of any model.
        counts: (tokens,) how often each occurs in the train split; 1 is added to each.
    """
    logs = np.log((counts + 1.0) / (counts + 1.0).sum())
    best = np.full(len(answers.true), int(counts.argmax()))
    return answers._replace(predicted=best, log_probabilities=logs[answers.true])


def write_answers(path: Path, answers: Answers, keys: Sequence[str], tokens: Sequence[str]) -> None:
    """Write a row for each masked token: text, place, true and predicted token, log p."""

    def rows() -> Iterable[list[Any]]:
        for text, place, true, predicted, log in zip(*answers, strict=True):
            yield [keys[text], place, tokens[true], tokens[predicted], f"{log:.6g}"]

    write_csv(path, ["path", "position", "true", "predicted", "log_probability"], rows())
