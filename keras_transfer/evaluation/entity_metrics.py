"""Metrics of a network that labels words: entities found, and words labelled rightly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.errors import BadData
from keras_transfer.evaluation.checks import check_finite
from keras_transfer.evaluation.entities import EntityCounts, count_entities
from keras_transfer.evaluation.intervals import bootstrap_interval
from keras_transfer.evaluation.layout import aligned, interval_text, shown

__all__ = [
    "Tagged",
    "entity_metric",
    "entity_metrics",
    "entity_summary",
    "majority_baseline",
    "tagged",
    "tagged_metrics",
]


class Tagged(NamedTuple):
    """True and predicted labels of the m words of n sentences, one sentence after the other.

    Attributes:
        true: (m,) int labels.
        predicted: (m,) int labels.
        sentences: (m,) int64 number of each word's sentence.
        n: Number of sentences.
    """

    true: np.ndarray
    predicted: np.ndarray
    sentences: np.ndarray
    n: int


def tagged(true: np.ndarray, decided: np.ndarray) -> Tagged:
    """Put the words of all sentences into one row.

    Args:
        true: (n, places) int: label of the word whose first token is at a place; negative where
            none is. Places behind those of the tokens are of words that were cut off.
        decided: (n, tokens) int labels. A word that was cut off is taken to be outside: 0.
    """
    predicted = np.zeros(true.shape, int)
    kept = min(true.shape[1], decided.shape[1])
    predicted[:, :kept] = decided[:, :kept]
    words = true >= 0
    return Tagged(true[words], predicted[words], np.nonzero(words)[0], len(true))


def entity_metrics(
    true: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
    *,
    families: np.ndarray | None = None,
    intervals: bool = True,
) -> dict[str, Any]:
    """Compute the metrics of labels of words; an undefined metric is None.

    * f1, precision, recall: of entities, of all types together (micro); an entity is right if its
      words and its type are those of a true one, as in conlleval and seqeval;
    * macro_f1: mean F1 of the types that occur or are predicted;
    * accuracy: share of the words whose label is right;
    * f1_interval: 95 % bootstrap over sentences;
    * per_type: precision, recall, f1, support (true entities) and predicted, by type;
    * words, entities, and cut_off: words and entities that lie (wholly, or in part) behind the
      last token. Words that are cut off count as outside.

    Args:
        true: (n, places) int, as for ``tagged``.
        scores: (n, tokens, labels) float probabilities.
        names: Names of the labels: O, then B- and I- of each type.
        families: (n,) copies of a sentence have the same value and are resampled together.
        intervals: Whether to compute the interval.

    Returns:
        The metrics and ``n``, as plain numbers, lists and dicts that JSON can hold.

    Raises:
        BadData: No word has a label.
        CheckFailed: A score is NaN or infinite.
    """
    check_finite(scores.reshape(len(scores), -1))
    words = tagged(true, scores.argmax(axis=-1))
    types = [name[2:] for name in names[1::2]]
    metrics = tagged_metrics(words, types, families=families, intervals=intervals)
    return metrics | {"cut_off": _cut_off(true, scores.shape[1], len(types))}


def tagged_metrics(
    words: Tagged,
    types: Sequence[str],
    *,
    families: np.ndarray | None = None,
    intervals: bool = True,
) -> dict[str, Any]:
    """Metrics as of ``entity_metrics``, without ``cut_off``, of labels that are there already.

    Args:
        words: The labels.
        types: Names of the types.
        families: As for ``entity_metrics``, and so is ``intervals``.
        intervals: Whether to compute the interval.
    """
    if not len(words.true):
        raise BadData("There is nothing to measure: no word has a known label.")
    counts = count_entities(*words, len(types))
    totals = EntityCounts(*(table.sum(axis=0) for table in counts))
    per_type = [_shares(*(int(row[i]) for row in totals)) for i in range(len(types))]
    defined = [row["f1"] for row in per_type if row["f1"] is not None]
    overall = _shares(*(int(row.sum()) for row in totals))
    metrics: dict[str, Any] = {
        "n": words.n,
        "words": len(words.true),
        "entities": overall.pop("support"),
        **overall,
        "macro_f1": float(np.mean(defined)) if defined else None,
        "accuracy": float(np.mean(words.true == words.predicted)),
    }
    if intervals:
        f1 = _micro_f1(counts)
        (bounds,) = bootstrap_interval(lambda w: f1(w)[:, None], words.n, families=families)
        metrics["f1_interval"] = bounds
    return metrics | {"per_type": dict(zip(types, per_type, strict=True))}


def _shares(true: int, predicted: int, right: int) -> dict[str, Any]:
    return {
        "precision": right / predicted if predicted else None,
        "recall": right / true if true else None,
        "f1": 2 * right / (true + predicted) if true + predicted else None,
        "support": true,
        "predicted": predicted,
    }


def _micro_f1(counts: EntityCounts) -> Callable[[np.ndarray], np.ndarray]:
    """From (draws, n) weights of sentences to (draws,) F1; NaN without entities."""
    true, predicted, right = (table.sum(axis=1).astype(float) for table in counts)

    def metric(weights: np.ndarray) -> np.ndarray:
        both = weights @ (true + predicted)
        return np.divide(2 * weights @ right, both, out=np.full(len(both), np.nan), where=both > 0)

    return metric


def entity_metric(name: str, types: int) -> Callable[..., np.ndarray]:
    """F1 of entities, or accuracy of words, of weighted sentences, for ``evaluation.paired``."""

    def metric(
        weights: np.ndarray, true: np.ndarray, scores: np.ndarray, decided: np.ndarray
    ) -> np.ndarray:
        words = tagged(true, decided)
        if name == "f1":
            return _micro_f1(count_entities(*words, types))(weights)
        each = np.bincount(words.sentences, minlength=words.n).astype(float)
        right = np.bincount(words.sentences, words.true == words.predicted, minlength=words.n)
        return weights @ right / (weights @ each)

    return metric


def _cut_off(true: np.ndarray, tokens: int, types: int) -> dict[str, int]:
    """Words without a token, and entities that have such words."""
    kept = np.where(true >= 0, true, -1).copy()
    everything = tagged(kept, kept)
    without = tagged(kept, kept[:, :tokens])
    found = count_entities(*everything, types).true.sum()
    right = count_entities(*without, types).right.sum()
    return {"words": int((true[:, tokens:] >= 0).sum()), "entities": int(found - right)}


def majority_baseline(train: np.ndarray, true: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Metrics of the most frequent label of the train split for every word.

    Args:
        train: (m, places) int, as for ``tagged``.
        true: (n, places) int.
        names: Names of the labels.
    """
    label = int(np.bincount(train[train >= 0]).argmax())
    words = tagged(true, np.full(true.shape, label))
    types = [name[2:] for name in names[1::2]]
    metrics = tagged_metrics(words, types, intervals=False)
    return {"label": names[label], **{k: v for k, v in metrics.items() if k != "per_type"}}


def entity_summary(metrics: dict[str, Any]) -> str:
    """Format the metrics of :func:`entity_metrics` for the terminal."""
    lines: list[str] = []
    for key, title in (
        ("f1", "entity F1"),
        ("precision", "precision"),
        ("recall", "recall"),
        ("macro_f1", "macro F1"),
        ("accuracy", "accuracy of words"),
    ):
        interval = metrics.get(f"{key}_interval")
        text = interval_text(interval, metrics["n"]) if not lines else ""
        lines.append(f"{title:<17}  {shown(metrics[key])}{text.replace('examples', 'sentences')}")
    cut = metrics.get("cut_off", {})
    if cut.get("words"):
        lines.append(
            f"{cut['words']:,} of {metrics['words']:,} words were cut off by input.length and "
            f"count as O; {cut['entities']:,} of {metrics['entities']:,} entities are missed so"
        )
    columns = ("precision", "recall", "f1")
    rows = [
        [name, *(shown(row[key]) for key in columns), str(row["support"]), str(row["predicted"])]
        for name, row in metrics["per_type"].items()
    ]
    header = ["type", "precision", "recall", "F1", "entities", "predicted"]
    return "\n".join(lines) + "\n\n" + aligned([header, *rows])
