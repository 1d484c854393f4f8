"""Compare the predictions of two models for the same images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import binomtest, t

from keras_transfer.data.copies import families
from keras_transfer.errors import BadData
from keras_transfer.evaluation.predictions import Predictions

__all__ = ["Answers", "align", "compare", "mcnemar", "resampled", "spread"]

CHUNK = 50
"""Resamples drawn at a time; memory holds this many weights per image."""


class Answers(NamedTuple):
    """Predictions of several models for the same n images; a model may have several runs.

    Attributes:
        true: (n,) int, index into ``classes``.
        predicted: For each model an (its runs, n) int array.
        classes: Class names in label order.
        left_out: Number of images that some of the runs have no prediction for.
        families: (n,) int from 0, equal for exact copies of an image.
    """

    true: np.ndarray
    predicted: list[np.ndarray]
    classes: tuple[str, ...]
    left_out: int
    families: np.ndarray


def align(
    models: Sequence[Sequence[Predictions]], digests: Mapping[str, str] | None = None
) -> Answers:
    """Find the images that all runs have predicted, by their keys.

    Args:
        models: For each model the predictions of its runs.
        digests: Digest of each image's content, by key; None: there are no copies.

    Raises:
        BadData: The runs differ in classes or labels, or share no image.
    """
    first = models[0][0]
    runs_of_all = [run for runs in models for run in runs]
    for run in runs_of_all:
        if set(run.classes) != set(first.classes):
            raise BadData(
                f"The runs have different classes: {', '.join(first.classes)}; "
                f"{', '.join(run.classes)}. Compare runs on the same classes."
            )
    tables = [_table(run, first.classes) for run in runs_of_all]
    keys = [key for key in tables[0] if all(key in table for table in tables)]
    if not keys:
        raise BadData(
            "The runs share no test image, so nothing can be paired. Give them the same data "
            "and the same split.seed."
        )
    labels = np.array([[table[key] for key in keys] for table in tables])
    conflicting = [
        key
        for key, row in zip(keys, (labels[..., 0] != labels[0, :, 0]).T, strict=True)
        if any(row)
    ]
    if conflicting:
        raise BadData("The runs have different true labels for these images:", conflicting)
    ends = np.cumsum([len(runs) for runs in models])[:-1]
    union = len(set().union(*tables))
    copies = families(np.array([(digests or {}).get(key, "") for key in keys], object))
    predicted = np.split(labels[..., 1], ends)
    return Answers(labels[0, :, 0], predicted, first.classes, union - len(keys), copies)


def _table(run: Predictions, classes: Sequence[str]) -> dict[str, tuple[int, int]]:
    """True and predicted class by key, in the label order of ``classes``; known labels only."""
    labels = np.array([classes.index(name) for name in run.classes])
    predicted = labels[run.probabilities.argmax(axis=1)] if len(run.keys) else []
    rows = zip(run.keys, run.true, predicted, strict=True)
    return {key: (int(labels[true]), int(label)) for key, true, label in rows if true >= 0}


def mcnemar(true: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test of whether two models are equally often the only correct one.

    Args:
        true: (n,) int labels.
        first: (n,) int predictions of the first model.
        second: (n,) int predictions of the second model.

    Returns:
        ``only_first`` and ``only_second``, the number of images that only this model predicts
        correctly, and ``p``, two-sided; 1 where both are 0.
    """
    a, b = first == true, second == true
    only = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    # Exact, since the chi-square form is wrong for few disagreements.
    p = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    return {"only_first": only[0], "only_second": only[1], "p": float(p)}


def compare(
    answers: Answers, first: int, second: int, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Compare two models on the same images; differences are the second less the first.

    Args:
        answers: Predictions of all models.
        first: Position of the reference model.
        second: Position of the other model.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        ``accuracy`` and ``macro_f1``, each with ``first``, ``second``, ``difference`` and its 95 %
        ``interval`` by the paired bootstrap over images (copies together), and over runs where a
        model has several; ``mcnemar``, a list with a test for each pair of runs, in which copies
        count once.
    """
    pair = [answers.predicted[first], answers.predicted[second]]
    ones = np.ones((1, len(answers.true)))
    chunks = resampled(
        answers.true, pair, len(answers.classes), resamples, seed, families=answers.families
    )
    draws = list(chunks)
    report: dict[str, Any] = {}
    for name, metric in METRICS.items():
        a, b = (
            metric(ones, answers.true, predicted, len(answers.classes)).mean() for predicted in pair
        )
        differences = np.concatenate([draw[name][1] - draw[name][0] for draw in draws])
        low, high = np.quantile(differences, [0.025, 0.975])
        report[name] = {"first": float(a), "second": float(b), "difference": float(b - a)}
        report[name]["interval"] = [float(low), float(high)]
    distinct = np.unique((answers.families, answers.true), axis=1, return_index=True)[1]
    true, pair = answers.true[distinct], [predicted[:, distinct] for predicted in pair]
    report["mcnemar"] = [mcnemar(true, *both) for both in zip(*pair, strict=False)]
    return report


def resampled(
    true: np.ndarray,
    models: Sequence[np.ndarray],
    classes: int,
    resamples: int,
    seed: int,
    *,
    families: np.ndarray | None = None,
) -> Iterator[dict[str, list[np.ndarray]]]:
    """Resample images, the same ones for all models, and the runs of each model.

    Copies of an image are drawn together (the cluster bootstrap of Davison and Hinkley 1997,
    Bootstrap Methods and their Application, section 3.8).

    Args:
        true: (n,) int labels.
        models: For each model (runs, n) int predictions.
        classes: Number of classes.
        resamples: Number of resamples.
        seed: Seed of the draws.
        families: (n,) int from 0, equal for copies; None: there are none.

    Yields:
        By metric, for each model, (chunk,) values; ``resamples`` of them in total.
    """
    numbers = np.arange(len(true)) if families is None else families
    rng, n = np.random.default_rng(seed), int(numbers.max()) + 1
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size)[:, numbers].astype(float)
        shares = [
            rng.multinomial(len(predicted), np.full(len(predicted), 1 / len(predicted)), size)
            for predicted in models
        ]
        yield {
            name: [
                (metric(weights, true, predicted, classes) * share).sum(axis=1) / len(predicted)
                for predicted, share in zip(models, shares, strict=True)
            ]
            for name, metric in METRICS.items()
        }


def _accuracy(
    weights: np.ndarray, true: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """(samples, runs) of weights (samples, n) and predictions (runs, n)."""
    return weights @ (predicted == true).T / weights.sum(axis=1, keepdims=True)


def _macro_f1(
    weights: np.ndarray, true: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """(samples, runs), over the classes that have images or predictions in the sample."""

    def sums(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
        n = len(labels)
        chosen = csr_array((values.astype(float), (labels, np.arange(n))), shape=(classes, n))
        return chosen @ weights.T

    columns = []
    for run in predicted:
        both = sums(true, np.ones(len(true))) + sums(run, np.ones(len(true)))
        # Weights are counts, so a sum is 0 or at least 1.
        f1 = 2 * sums(true, run == true) / np.maximum(both, 1)
        columns.append(f1.sum(axis=0) / (both > 0).sum(axis=0))
    return np.stack(columns, axis=1)


METRICS = {"accuracy": _accuracy, "macro_f1": _macro_f1}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean of two or more metrics, standard deviation (n - 1), and 95 % t interval of the mean."""
    numbers = np.asarray(values, float)
    mean, std = numbers.mean(), numbers.std(ddof=1)
    margin = t.ppf(0.975, len(numbers) - 1) * std / np.sqrt(len(numbers))
    return {
        "mean": float(mean),
        "std": float(std),
        "interval": [float(mean - margin), float(mean + margin)],
        "values": numbers.tolist(),
    }
