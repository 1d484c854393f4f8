"""Likely label errors of labelled examples, by cross-validated predictions on frozen features."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.atomic import write_csv
from keras_transfer.data.copies import related
from keras_transfer.data.samples import Samples
from keras_transfer.data.splits import sample
from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.evaluation.label_errors import LabelErrors, label_errors
from keras_transfer.learners.linear_probe import Probe, linear_probe

__all__ = ["FILE", "LabelCheck", "check_labels", "held_out_probabilities"]

FILE = "relabel.csv"
COLUMNS = ("rank", "path", "split", "label", "new_label", "probability", "self_confidence")

ALL_STRENGTHS = 4000
"""Most examples on which each fold chooses among all strengths of the penalty."""
SAMPLED = 2000
"""Examples on which the strength is chosen where there are more."""

logger = logging.getLogger("keras_transfer")


class LabelCheck(NamedTuple):
    """Examples whose labels are probably wrong.

    Attributes:
        samples: The examples that were compared.
        found: Which of them.
        probabilities: (n, classes) float64, held out.
    """

    samples: Samples
    found: LabelErrors
    probabilities: np.ndarray

    @property
    def document(self) -> dict[str, Any]:
        """What was found, JSON-ready."""
        labels, classes = self.samples.labels, self.samples.classes
        decided = self.probabilities.argmax(axis=1)
        thresholds = self.found.thresholds
        return {
            "examples": len(labels),
            "suspects": len(self.found.rows),
            "estimated_errors": round(self.found.share * len(labels)),
            "estimated_share": self.found.share,
            "agreement": float((decided == labels).mean()),
            "thresholds": {
                name: None if np.isinf(threshold) else float(threshold)
                for name, threshold in zip(classes, thresholds, strict=True)
            },
            "confident_joint": self.found.joint.tolist(),
        }

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Cells of ``COLUMNS``, most probable errors first."""
        names, places = (
            self.samples.classes,
            zip(self.found.rows, self.found.suggested, strict=True),
        )
        for rank, (row, new) in enumerate(places, 1):
            own = self.samples.labels[row]
            probabilities = (f"{self.probabilities[row, label]:.4f}" for label in (new, own))
            yield (
                *(rank, self.samples.keys[row], self.samples.splits[row]),
                *(names[own], names[new], *probabilities),
            )

    def write(self, path: Path) -> None:
        """Write the table that a user edits, and that the setting ``relabel`` takes."""
        # In quotes: a reader of tables leaves out spaces at the beginning of other cells.
        write_csv(path, COLUMNS, self.rows(), quoting=csv.QUOTE_ALL)


def check_labels(samples: Samples, features: np.ndarray, seed: int) -> LabelCheck:
    """Find likely label errors.

    Args:
        samples: Examples with labels and digests.
        features: (n, channels) float of them.
        seed: The recipe's; of the folds.

    Raises:
        BadData: A class has too few examples for folds.
        CheckFailed: A feature is NaN or infinite.
    """
    probabilities = held_out_probabilities(samples, features, seed)
    return LabelCheck(samples, label_errors(samples.labels, probabilities), probabilities)


def held_out_probabilities(samples: Samples, features: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities of each example by a logistic regression that has not seen it.

    Copies of an example, and examples of its group, are not seen either.

    Args:
        samples: As for ``check_labels``; ``features`` and ``seed`` too.
        features: (n, channels) float.
        seed: Of the folds.

    Returns:
        (n, classes) float64.
    """
    if not np.isfinite(features).all():
        raise CheckFailed("Some features are infinite or NaN. Check the weights of the network.")
    wide = features.astype("float64")
    if len(np.unique(samples.labels)) < 2:
        raise BadData("The examples whose labels are checked are of one class. Name more splits.")
    families = related(samples.digests, samples.groups)
    strengths: dict[str, Any] = {}
    if len(samples) > ALL_STRENGTHS:
        # A path over all strengths would take hours on a million examples, and they hardly differ.
        strengths["strengths"] = (_strength(samples, wide, families, seed),)
    probe = linear_probe(wide, samples.labels, families, seed=seed, **strengths)
    return _all_classes(probe, len(samples.classes))


def _strength(samples: Samples, features: np.ndarray, families: np.ndarray, seed: int) -> float:
    """The median of what the folds of a class-balanced sample choose."""
    some = sample(samples, SAMPLED, seed)
    places = np.flatnonzero(np.isin(samples.keys, some.keys))
    probe = linear_probe(features[places], samples.labels[places], families[places], seed=seed)
    return sorted(probe.strengths)[len(probe.strengths) // 2]


def _all_classes(probe: Probe, classes: int) -> np.ndarray:
    """With columns of the last classes, of which these examples may have none."""
    lacking = classes - probe.scores.shape[1]
    return np.pad(probe.scores, ((0, 0), (0, lacking)))
