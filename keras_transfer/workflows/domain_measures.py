"""Measures of two domains: shares of classes, distances, accuracy. JSON-ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import Samples
from keras_transfer.domains import accuracy_estimates as estimates
from keras_transfer.domains.checks import MIN_EXAMPLES
from keras_transfer.domains.distances import (
    coral_distance,
    frechet_distance,
    mmd,
    proxy_a_distance,
)
from keras_transfer.domains.label_shift import estimate_shares, label_shift_p_value
from keras_transfer.evaluation.intervals import quantile_interval, resamples
from keras_transfer.evaluation.metrics import classification_metrics
from keras_transfer.objectives.operating import decided_class

__all__ = [
    "LEVEL",
    "Domain",
    "accuracies",
    "distances",
    "estimated_loss",
    "label_shift",
    "measured_loss",
    "per_class",
    "with_shares",
]

LEVEL = 0.025
"""p-values up to this count as a shift."""
NEGLIGIBLE = 0.1
"""An A-distance whose 95 % interval lies above this counts as a shift too.

Above 0 it lies too often, in 10 of 100 cases, where there is no shift: folds share examples.
"""
PARTITIONS = 5
"""Random divisions of the source over which distances of two parts of it are averaged."""


@dataclass(frozen=True, eq=False)
class Domain:
    """Examples of a domain, and what a model says of them.

    Attributes:
        samples: n examples, no two of them copies.
        features: (n, channels) float32.
        probabilities: (n, classes) float64.
        second: (n, classes) float64 by another head; None where there is none.
        labelled: Whether the labels are known.
        decision: As of ``Output``: the threshold of one of two classes, where there is one.
    """

    samples: Samples
    features: np.ndarray
    probabilities: np.ndarray
    second: np.ndarray | None
    labelled: bool = True
    decision: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> np.ndarray:
        """(n,) int."""
        return self.samples.labels

    @property
    def predicted(self) -> np.ndarray:
        """(n,) int: the answers: by the run's threshold, or the most probable class."""
        if "threshold" in self.decision:
            return decided_class(self.probabilities, self.decision)
        return self.probabilities.argmax(axis=1)

    def take(self, where: np.ndarray) -> Domain:
        """Some of the examples."""
        second = None if self.second is None else self.second[where]
        return Domain(
            self.samples.take(where),
            self.features[where],
            self.probabilities[where],
            second,
            self.labelled,
            self.decision,
        )


def label_shift(source: Domain, target: Domain, seed: int) -> dict[str, Any]:
    """Shares of the classes in both domains, and whether they differ.

    Returns:
        "p_value" of the true classes where they are known, else of the predicted ones;
        "by", "labels" or "predictions"; "found"; "classes": rows with "class", "source",
        "estimated" with "low" and "high", "determined", and "target", None where not known;
        "least_error": if the target has the source's shares, at least this share of its
        predictions is wrong.
    """
    classes = source.samples.classes
    k = len(classes)
    found = estimate_shares(source.labels, source.predicted, target.predicted, k, seed=seed)
    pair = (source.predicted, target.predicted)
    if target.labelled:
        pair = (source.labels, target.labels)
    p_value = label_shift_p_value(*pair, k, seed=seed)
    true, predicted = (
        np.bincount(values, minlength=k) / len(target)
        for values in (target.labels, target.predicted)
    )
    rows = [
        {
            "class": name,
            "source": float(found.source_shares[label]),
            "estimated": float(found.target_shares[label]),
            "low": float(found.low[label]),
            "high": float(found.high[label]),
            "determined": bool(found.determined[label]),
            "target": float(true[label]) if target.labelled else None,
        }
        for label, name in enumerate(classes)
    ]
    return {
        "p_value": p_value,
        "by": "labels" if target.labelled else "predictions",
        "found": p_value <= LEVEL,
        # Total variation: so many predictions have to move from one class to another.
        "least_error": float(abs(predicted - found.source_shares).sum() / 2),
        "classes": rows,
    }


def _shares(shift: dict[str, Any]) -> np.ndarray:
    """(classes,) shares of the target: the true ones where they are known."""
    rows = shift["classes"]
    return np.array([r["estimated"] if r["target"] is None else r["target"] for r in rows])


def with_shares(source: Domain, shift: dict[str, Any], seed: int) -> Domain:
    """As many source examples as have the target's class shares, drawn at random."""
    shares, counts = _shares(shift), source.samples.counts()
    wanted = shares > 0
    size = (counts[wanted] / shares[wanted]).min()
    rng = np.random.default_rng([seed, *b"shares"])
    kept = [
        rng.permutation(np.flatnonzero(source.labels == label))[: round(size * share)]
        for label, share in enumerate(shares)
    ]
    return source.take(np.sort(np.concatenate(kept)))


def distances(source: Domain, target: Domain, seed: int) -> dict[str, Any]:
    """How far apart the features are.

    Returns:
        "source" and "target" examples; "mmd" and "mmd_p_value"; "a_distance" with "_low" and
        "_high"; "frechet" and "coral" of "part" examples of each domain, with "_reference", the
        value of two such parts of the source; "distinguishable".
    """
    test = mmd(source.features, target.features, seed=seed)
    apart = proxy_a_distance(source.features, target.features, seed=seed)
    found: dict[str, Any] = {
        "source": len(source),
        "target": len(target),
        "mmd": test.value,
        "mmd_p_value": test.p_value,
        "a_distance": apart.value,
        "a_distance_low": apart.low,
        "a_distance_high": apart.high,
        "distinguishable": test.p_value <= LEVEL or apart.low > NEGLIGIBLE,
    }
    return found | _parts(source.features, target.features, seed)


def _parts(source: np.ndarray, target: np.ndarray, seed: int) -> dict[str, Any]:
    """Distances that depend on the numbers of examples, with a reference of the same numbers."""
    part = min(len(source) // 2, len(target))
    rng = np.random.default_rng([seed, *b"parts"])
    values: dict[str, list[float]] = {}
    for _ in range(PARTITIONS):
        order = rng.permutation(len(source))
        first, second = (source[order[i * part : (i + 1) * part]] for i in (0, 1))
        other = target[rng.permutation(len(target))[:part]]
        for name, distance in (("frechet", frechet_distance), ("coral", coral_distance)):
            values.setdefault(name, []).append(distance(first, other))
            values.setdefault(f"{name}_reference", []).append(distance(first, second))
    return {name: float(np.mean(found)) for name, found in values.items()} | {"part": part}


def per_class(source: Domain, target: Domain, seed: int) -> list[dict[str, Any]]:
    """Distances within each class that has enough examples in both domains."""
    rows = []
    for label, name in enumerate(source.samples.classes):
        pair = [domain.features[domain.labels == label] for domain in (source, target)]
        if min(map(len, pair)) < MIN_EXAMPLES:
            continue
        test, apart = mmd(*pair, seed=seed), proxy_a_distance(*pair, seed=seed)
        rows.append(
            {
                "class": name,
                "source": len(pair[0]),
                "target": len(pair[1]),
                "mmd_p_value": test.p_value,
                "a_distance": apart.value,
                "a_distance_low": apart.low,
                "a_distance_high": apart.high,
            }
        )
    return rows


def accuracies(source: Domain, target: Domain, seed: int) -> dict[str, Any]:
    """Accuracy, and what tells of it without labels.

    Returns:
        "source" of the test split and "target" (None where not labelled): "accuracy", "low",
        "high", "n", and "recall" by class; "held_out", the accuracy on all source examples that
        estimates start from; "estimates" of the target's accuracy by name: "value", "low",
        "high"; "entropy" and "agreement" of "source" and "target" likewise.
    """
    arrays = source.probabilities, source.labels, target.probabilities
    guessed = {
        "average_thresholded_confidence": estimates.average_thresholded_confidence(
            *arrays, seed=seed
        ),
        "difference_of_confidences": estimates.difference_of_confidences(*arrays, seed=seed),
    }
    test = source.samples.splits == "test"
    return {
        "source": _accuracy(source.take(test)),
        "target": _accuracy(target) if target.labelled else None,
        "held_out": float((source.predicted == source.labels).mean()),
        "estimates": {name: one._asdict() for name, one in guessed.items()},
        "entropy": _of_both(
            source, target, lambda d: estimates.mean_entropy(d.probabilities, seed=seed)
        ),
        "agreement": _agreement(source, target, seed),
    }


def _agreement(source: Domain, target: Domain, seed: int) -> dict[str, Any] | None:
    def measure(domain: Domain) -> estimates.Estimate:
        assert domain.second is not None
        return estimates.agreement(domain.probabilities, domain.second, seed=seed)

    return None if source.second is None else _of_both(source, target, measure)


def _of_both(
    source: Domain, target: Domain, measure: Callable[[Domain], estimates.Estimate]
) -> dict[str, Any]:
    return {"source": measure(source)._asdict(), "target": measure(target)._asdict()}


def _accuracy(domain: Domain) -> dict[str, Any]:
    samples = domain.samples
    found = classification_metrics(
        domain.labels,
        domain.probabilities,
        samples.classes,
        families=families(samples.digests),
        predicted=domain.predicted,
    )
    low, high = found["accuracy_interval"]
    recall = {name: row["recall"] for name, row in found["per_class"].items()}
    return {
        "accuracy": found["accuracy"],
        "low": low,
        "high": high,
        "n": found["n"],
        "recall": recall,
    }


def measured_loss(
    source: Domain, target: Domain, shift: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Accuracy on the source's test split less that on the labelled target, with its interval.

    Where the shares of the classes differ, source examples are weighted to have the target's:
    what is lost is then lost on the images.

    Returns:
        "value", "low", "high", "measured" True, and "source", the accuracy that is compared with.
    """
    test = source.take(source.samples.splits == "test")
    weights = np.ones(len(test))
    if shift["found"]:
        own = test.samples.counts() / len(test)
        ratio = np.divide(_shares(shift), own, out=np.zeros(len(own)), where=own > 0)
        if ratio[test.labels].any():  # else no class is in both
            weights = ratio[test.labels]
    before, after = _drawn(test, weights, seed), _drawn(target, np.ones(len(target)), seed + 1)
    low, high = quantile_interval(before[1:] - after[1:]) or (np.nan, np.nan)
    value = before[0] - after[0]
    return {
        "value": float(value),
        "low": low,
        "high": high,
        "measured": True,
        "source": float(before[0]),
    }


def estimated_loss(accuracy: dict[str, Any]) -> dict[str, Any]:
    """The loss without labels: the mean of the estimates, and the range of their intervals.

    Args:
        accuracy: As ``accuracies`` gives it.
    """
    before, guessed = accuracy["held_out"], accuracy["estimates"].values()
    return {
        "value": before - float(np.mean([one["value"] for one in guessed])),
        "low": before - max(one["high"] for one in guessed),
        "high": before - min(one["low"] for one in guessed),
        "measured": False,
        "source": before,
    }


def _drawn(domain: Domain, weights: np.ndarray, seed: int) -> np.ndarray:
    """(1 + draws,) weighted accuracies: of the examples, then of resamples of them."""
    right = (domain.predicted == domain.labels).astype(float)
    counts = np.concatenate(
        [np.ones((1, len(right))), *resamples(len(right), seed=seed, families=None)]
    )
    total = counts @ weights
    return np.divide(
        counts @ (weights * right), total, where=total > 0, out=np.full(len(total), np.nan)
    )
