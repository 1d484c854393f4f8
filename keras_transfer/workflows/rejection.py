"""Lets a trained network answer "unknown", by its validation split and perhaps unknown data.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_transfer import seeds
from keras_transfer.cache import cache_dir
from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.data.scan import drop_invalid, scan
from keras_transfer.evaluation.inference import predict
from keras_transfer.evaluation.rejection import (
    Threshold,
    accepted_metrics,
    fit_threshold,
    separation,
)
from keras_transfer.evaluation.selective import risk_coverage
from keras_transfer.networks.rejection import Reference, known_score, pooled_of, with_unknown
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.objectives.rejection import KNOWN_SCORES, UNKNOWN, Reject, unknown_of
from keras_transfer.runs.given import store_of

__all__ = ["Rejecting", "rejecting"]

logger = logging.getLogger("keras_transfer")

TRAIN = 2_000
"""Training examples from which distances are measured."""
CHANNELS = 2_048
"""Widest features in which they are: a network of 2,048 channels grows by 33 MB."""
FEATURES = "features"
DISTANCES = ("knn", "mahalanobis")

Arrays = Mapping[str, np.ndarray]


class Rejecting(NamedTuple):
    """A network that answers unknown.

    Attributes:
        model: With an output ``unknown_of(name)`` for each output that rejects.
        decisions: ``reject`` by the name of the output, for ``outputs.json``.
        metrics: "reject" for ``metrics.json``; nothing if no objective asks for it.
    """

    model: keras.Model
    decisions: dict[str, dict[str, Any]]
    metrics: dict[str, Any]


class _Part(NamedTuple):
    """Examples with the outputs of the network for them.

    Attributes:
        found: (n, units) logits by output, and perhaps (n, channels) "features".
        labels: (n,) int, -1 where not known.
        families: (n,) int.
    """

    found: dict[str, np.ndarray]
    labels: np.ndarray
    families: np.ndarray

    def known(self) -> _Part:
        """The examples whose class is known."""
        rows = self.labels >= 0
        found = {name: values[rows] for name, values in self.found.items()}
        return _Part(found, self.labels[rows], self.families[rows])


def rejecting(
    model: keras.Model,
    objectives: Mapping[str, Objective],
    samples: Samples,
    loading: Loading,
    *,
    columns: Sequence[str],
    seed: int,
) -> Rejecting:
    """Choose a score of how known an example is, and a threshold, for each output that asks.

    Args:
        model: With its best weights, calibrated.
        objectives: By the name of the output.
        samples: With all their splits.
        loading: Settings of batch loading.
        columns: Columns of texts in tables of unknown data; none for images.
        seed: Of the training examples that distances are measured from.
    """
    decisions, metrics, current = {}, {}, model
    computing = _Computing(model, replace(loading, replicas=1), columns, seed)
    for name, objective in objectives.items():
        reject = getattr(objective, "reject", None)
        if reject is None or not reject.wanted:
            continue
        current, decisions[name], metrics[name] = computing.fitted(current, name, reject, samples)
    if not metrics:
        return Rejecting(model, {}, {})
    found = metrics[LABEL] if [*objectives] == [LABEL] else metrics
    return Rejecting(current, {n: d for n, d in decisions.items() if d}, {"reject": found})


class _Computing:
    """Runs the network over examples, and fits.

    Args:
        model: As for ``rejecting``, and so are the others.
        loading: Settings of batch loading.
        columns: Columns of texts.
        seed: Of the training examples.
    """

    def __init__(self, model: keras.Model, loading: Loading, columns: Sequence[str], seed: int):
        self.loading, self.columns, self.seed = loading, columns, seed
        pooled = pooled_of(model)
        self.measured = pooled is not None and pooled.shape[-1] <= CHANNELS
        outputs = {**model.output, FEATURES: pooled} if self.measured else dict(model.output)
        self.full = keras.Model(model.input, outputs)

    def fitted(
        self, model: keras.Model, name: str, reject: Reject, samples: Samples
    ) -> tuple[keras.Model, dict[str, Any], dict[str, Any]]:
        """The model that rejects, its decision and metrics, for one output."""
        val, test = (self._part(samples.split(one), name).known() for one in ("val", "test"))
        unknown = None if reject.unknown_data is None else self._unknown(reject.unknown_data)
        names = self._candidates(reject)
        reference = None
        if set(names) & set(DISTANCES):
            reference = _reference(self._part(self._drawn(samples), name).known())
        scored = {
            score: _Scored(score, name, reference, val, test, unknown, self.seed) for score in names
        }
        best = max(scored.values(), key=lambda one: one.goodness)
        metrics = best.metrics(reject) | {
            "candidates": {score: one.compared() for score, one in scored.items()}
        }
        threshold = best.threshold(reject)
        if threshold is None:
            logger.warning(
                "Warning: nothing is rejected: no share of the %s val examples shows an accuracy "
                "of %s. Ask for less by --reject, or hold out more examples: --set split.val=0.3.",
                *(f"{len(val.labels):,}", reject.accuracy),
            )
            return model, {}, metrics
        width = float(max(best.val.std(), 1e-6))
        decision = {"score": best.score, "threshold": threshold.value, "width": width}
        more: dict[str, Any] = {
            "name": unknown_of(name),
            "threshold": threshold.value,
            "width": width,
            "reference": reference,
        }
        _told(name, best.score, metrics)
        return with_unknown(model, name, best.score, **more), {"reject": decision}, metrics

    def _candidates(self, reject: Reject) -> list[str]:
        names = KNOWN_SCORES if reject.score == "auto" else (reject.score,)
        possible = [name for name in names if self.measured or name not in DISTANCES]
        if len(possible) < len(names):
            logger.warning(
                "Warning: no distances are measured: the network has no pooled features of at "
                "most %s channels.", f"{CHANNELS:,}",
            )  # fmt: skip
        return possible or ["max_probability"]

    def _part(self, samples: Samples, name: str) -> _Part:
        labels = labels_of(samples, name).values
        return _Part(self._found(samples), labels, families(samples.digests))

    def _found(self, samples: Samples) -> dict[str, np.ndarray]:
        return predict(self.full, plain_batches(samples, self.loading), "unknown")

    def _drawn(self, samples: Samples) -> Samples:
        train = samples.split("train")
        rng = np.random.default_rng(seeds.stream(self.seed, "members"))
        return train.take(np.sort(rng.permutation(len(train))[:TRAIN]))

    def _unknown(self, place: str) -> dict[str, np.ndarray]:
        # A table of texts is a path; a string would be a text itself.
        given = Path(place) if self.columns else place
        files, store = store_of([given], columns=self.columns)
        samples = Samples.of(store, [UNKNOWN], files, [0] * len(files))
        found = scan(samples, self.loading.input.check, cache_dir())
        return self._found(drop_invalid(samples, found, "skip"))


class _Scored:
    """One score of how known examples are.

    Args:
        score: Its name.
        name: Of the output.
        reference: For distances.
        val: Examples that choose score and threshold.
        test: Others.
        unknown: What should be rejected; half of it chooses, the other half is measured.
        seed: Of these halves.
    """

    def __init__(
        self,
        score: str,
        name: str,
        reference: Reference | None,
        val: _Part,
        test: _Part,
        unknown: Arrays | None,
        seed: int,
    ):
        self.score, self.families = score, test.families

        def known(found: Arrays) -> np.ndarray:
            return _computed(score, found[name], found.get(FEATURES), reference)

        self.val, self.test = known(val.found), known(test.found)
        self.right, self.test_right = (
            part.found[name].argmax(axis=1) == part.labels for part in (val, test)
        )
        self.halves: list[np.ndarray] = []
        if unknown is not None:
            values = known(unknown)
            order = np.random.default_rng(seed).permutation(len(values))
            self.halves = [values[order[place::2]] for place in (0, 1)]

    @property
    def goodness(self) -> float:
        """On val: AUROC against unknown data; without these minus the area of risk-coverage."""
        if self.halves:
            return separation(self.val, self.halves[0])["auroc"]
        return -risk_coverage(self.val, self.right).area

    def compared(self) -> dict[str, float]:
        """What the choice rests on, and what the score does on other examples."""
        found = {"val_aurc": risk_coverage(self.val, self.right).area}
        if self.halves:
            found["val_auroc"] = self.goodness
            found |= separation(self.test, self.halves[1])
        return found

    def threshold(self, reject: Reject) -> Threshold | None:
        """By the val split."""
        targets = {"accuracy": reject.accuracy, "coverage": reject.coverage}
        return fit_threshold(self.val, self.right, **targets)

    def metrics(self, reject: Reject) -> dict[str, Any]:
        """Of the chosen score; the unknown examples are those that did not choose it."""
        threshold = self.threshold(reject)
        found: dict[str, Any] = {"score": self.score, "threshold": None}
        if threshold is None:
            return found
        rejected = self.test < threshold.value
        found |= {
            "threshold": threshold.value,
            "val": {"coverage": threshold.coverage, "accuracy": threshold.accuracy},
            "test": accepted_metrics(self.test_right, rejected, self.families),
        }
        if self.halves:
            other = self.halves[1]
            share = float((other < threshold.value).mean())
            found[UNKNOWN] = {"n": len(other), "rejected": share} | separation(self.test, other)
        return found


def _computed(
    score: str, logits: np.ndarray, features: np.ndarray | None, reference: Reference | None
) -> np.ndarray:
    """(n,) float64 scores, by the layers that the network will have."""
    given = [logits] if features is None else [logits, features]
    tensors = [keras.Input(array.shape[1:], dtype="float32") for array in given]
    head = keras.Model(tensors, known_score(score, tensors[0], tensors[-1], reference))
    arrays = [array.astype("float32") for array in given]
    return head.predict(arrays, batch_size=512, verbose=0)[:, 0].astype("float64")


def _reference(train: _Part) -> Reference:
    from sklearn.covariance import LedoitWolf

    features, labels = train.found[FEATURES], train.labels
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    known = np.unique(labels)
    means = np.stack([features[labels == label].mean(axis=0) for label in known])
    within = features - means[np.searchsorted(known, labels)]
    # Shrunk: there may be more channels than examples.
    covariance = LedoitWolf(assume_centered=True).fit(within).covariance_
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(np.maximum(values, values.max() * 1e-6 + 1e-12))
    mean = features.mean(axis=0)
    parts = (features / np.maximum(lengths, 1e-12), mean, whitening, (means - mean) @ whitening)
    return Reference(*(part.astype("float32") for part in parts))


def _told(name: str, score: str, metrics: Mapping[str, Any]) -> None:
    test, of = metrics["test"], "" if name == LABEL else f" of the output {name}"
    logger.info(
        "Unknown%s by %s: %.1f %% of test accepted, accuracy of these %s%s",
        *(of, score, 100 * test["coverage"]),
        "-" if test["accuracy"] is None else f"{test['accuracy']:.4f}",
        f"; AUROC {metrics[UNKNOWN]['auroc']:.4f}, FPR95 {metrics[UNKNOWN]['fpr95']:.4f} against "
        f"unknown data" if UNKNOWN in metrics else "",
    )  # fmt: skip
