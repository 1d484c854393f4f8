"""The examples on which engines are measured."""

from __future__ import annotations

import numpy as np

from keras_transfer.checksums import sha256_of_document
from keras_transfer.data.samples import Samples
from keras_transfer.features.probing import FOLDS

__all__ = ["PROBED", "SAMPLE", "balanced", "digest", "spread"]

SAMPLE = 16
"""Examples on which speed and error are measured."""

PROBED = 64
"""Examples of a linear probe, where the error alone does not decide."""


def spread(samples: Samples, count: int) -> Samples:
    """Up to ``count`` examples at equal distances."""
    return samples.take(np.unique(np.linspace(0, len(samples) - 1, count).astype(int)))


def balanced(samples: Samples, count: int) -> Samples:
    """About ``count`` examples, as many of each class; of many classes some only.

    Without two classes of enough examples for the folds of a probe: at equal distances.
    """
    labels, sizes = np.unique(samples.labels, return_counts=True)
    known = labels[(sizes >= FOLDS) & (labels >= 0)][: count // FOLDS]
    if len(known) < 2:
        return spread(samples, count)
    places = [np.flatnonzero(samples.labels == label) for label in known]
    each = count // len(known)
    steps = [np.linspace(0, len(own) - 1, min(each, len(own))).astype(int) for own in places]
    chosen = [own[at] for own, at in zip(places, steps, strict=True)]
    return samples.take(np.sort(np.concatenate(chosen)))


def digest(samples: Samples) -> str:
    """Hash of examples and their labels."""
    return sha256_of_document([*samples.digests, *samples.labels.tolist()])[:16]
