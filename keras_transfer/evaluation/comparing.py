"""Which of two models is better, from what both say of the same images."""

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
"""Resamples drawn at a time: what is in memory is so many times the images."""


class Answers(NamedTuple):
    """What several models say of the same n images; a model may have been trained several times.

    Attributes:
        true: (n,) int, index into ``classes``.
        predicted: For each model an (its runs, n) int array.
        classes: Class names in label order.
        left_out: How many images not all of them have answered.
        families: (n,) int, equal for exact copies of an image, from 0 on.
    """

    true: np.ndarray
    predicted: list[np.ndarray]
    classes: tuple[str, ...]
    left_out: int
    families: np.ndarray


def align(
    models: Sequence[Sequence[Predictions]], digests: Mapping[str, str] | None = None
) -> Answers:
    """Find the images that all have answered, by their keys.

    Args:
        models: For each model the predictions of its runs.
        digests: Of the images' content, by key; None: there are no copies.

    Raises:
        BadData: They have other classes or labels, or no image in common.
    """
    first = models[0][0]
    everything = [one for runs in models for one in runs]
    for one in everything:
        if set(one.classes) != set(first.classes):
            raise BadData(
                f"The runs tell other classes apart: {', '.join(first.classes)}; "
                f"{', '.join(one.classes)}. Compare runs on the same classes."
            )
    tables = [_table(one, first.classes) for one in everything]
    keys = [key for key in tables[0] if all(key in table for table in tables)]
    if not keys:
        raise BadData(
            "The runs share no test image, so nothing can be paired. Give them the same data "
            "and the same split.seed."
        )
    found = np.array([[table[key] for key in keys] for table in tables])
    torn = [
        key for key, row in zip(keys, (found[..., 0] != found[0, :, 0]).T, strict=True) if any(row)
    ]
    if torn:
        raise BadData("The runs disagree about what is true of these images:", torn)
    ends = np.cumsum([len(runs) for runs in models])[:-1]
    union = len(set().union(*tables))
    own = families(np.array([(digests or {}).get(key, "") for key in keys], object))
    predicted = np.split(found[..., 1], ends)
    return Answers(found[0, :, 0], predicted, first.classes, union - len(keys), own)


def _table(one: Predictions, classes: Sequence[str]) -> dict[str, tuple[int, int]]:
    """True and predicted class by key, in another label order; unknown ones are left out."""
    places = np.array([classes.index(name) for name in one.classes])
    predicted = places[one.probabilities.argmax(axis=1)] if len(one.keys) else []
    rows = zip(one.keys, one.true, predicted, strict=True)
    return {key: (int(places[true]), int(said)) for key, true, said in rows if true >= 0}


def mcnemar(true: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test: of the images that one of two models gets right, is it half and half?

    Args:
        true: (n,) int labels.
        first: (n,) int, what one model says.
        second: (n,) int, what the other says.

    Returns:
        ``only_first`` and ``only_second``, how many only that one gets right, and ``p``,
        two-sided; 1 where there is none of either.
    """
    a, b = first == true, second == true
    only = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    p = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    return {"only_first": only[0], "only_second": only[1], "p": float(p)}


def compare(
    answers: Answers, first: int, second: int, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Compare two models on the same images; differences are the second less the first.

    Args:
        answers: Of both.
        first: Position of the one that is compared with.
        second: Position of the other.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        ``accuracy`` and ``macro_f1``, each with ``first``, ``second``, ``difference`` and its 95 %
        ``interval`` by the paired bootstrap over images (copies together), and over runs where a
        model has several; ``mcnemar``, a list with a test for each run of the first beside that of
        the second, in which copies count once.
    """
    pair = [answers.predicted[first], answers.predicted[second]]
    whole = np.ones((1, len(answers.true)))
    several = resampled(
        answers.true, pair, len(answers.classes), resamples, seed, families=answers.families
    )
    draws = list(several)
    found: dict[str, Any] = {}
    for name, metric in METRICS.items():
        a, b = (metric(whole, answers.true, one, len(answers.classes)).mean() for one in pair)
        differences = np.concatenate([draw[name][1] - draw[name][0] for draw in draws])
        low, high = np.quantile(differences, [0.025, 0.975])
        found[name] = {"first": float(a), "second": float(b), "difference": float(b - a)}
        found[name]["interval"] = [float(low), float(high)]
    once = np.unique((answers.families, answers.true), axis=1, return_index=True)[1]
    true, pair = answers.true[once], [said[:, once] for said in pair]
    found["mcnemar"] = [mcnemar(true, *both) for both in zip(*pair, strict=False)]
    return found


def resampled(
    true: np.ndarray,
    models: Sequence[np.ndarray],
    classes: int,
    resamples: int,
    seed: int,
    *,
    families: np.ndarray | None = None,
) -> Iterator[dict[str, list[np.ndarray]]]:
    """Draw images with replacement, the same for all models, and of each model its runs.

    Copies of an image are drawn together (the cluster bootstrap of Davison and Hinkley 1997,
    Bootstrap Methods and their Application, section 3.8).

    Args:
        true: (n,) int labels.
        models: For each model (runs, n) int predictions.
        classes: How many there are.
        resamples: How often.
        seed: Of the draw.
        families: (n,) int, equal for copies, from 0 on; None: there are none.

    Yields:
        By metric, for each model, (some,) metrics; all together ``resamples``.
    """
    own = np.arange(len(true)) if families is None else families
    rng, n = np.random.default_rng(seed), int(own.max()) + 1
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size)[:, own].astype(float)
        shares = [
            rng.multinomial(len(one), np.full(len(one), 1 / len(one)), size) for one in models
        ]
        yield {
            name: [
                (metric(weights, true, one, classes) * share).sum(axis=1) / len(one)
                for one, share in zip(models, shares, strict=True)
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
    for said in predicted:
        both = sums(true, np.ones(len(true))) + sums(said, np.ones(len(true)))
        f1 = 2 * sums(true, said == true) / np.maximum(both, 1)
        columns.append(f1.sum(axis=0) / (both > 0).sum(axis=0))
    return np.stack(columns, axis=1)


METRICS = {"accuracy": _accuracy, "macro_f1": _macro_f1}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean of two or more metrics, standard deviation (n - 1), and 95 % t interval of the mean."""
    numbers = np.asarray(values, float)
    mean, std = numbers.mean(), numbers.std(ddof=1)
    reach = t.ppf(0.975, len(numbers) - 1) * std / np.sqrt(len(numbers))
    return {
        "mean": float(mean),
        "std": float(std),
        "interval": [float(mean - reach), float(mean + reach)],
        "values": numbers.tolist(),
    }
