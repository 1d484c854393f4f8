"""SMOTE (Chawla et al. 2002) on stored features: interpolation between neighbours of a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_transfer.data.memory import fits
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed
from keras_transfer.features.store import Table

__all__ = ["NEIGHBOURS", "import_smote", "smote"]

NEIGHBOURS = 5
"""Nearest neighbours of the same class for interpolation; fewer in smaller classes."""


def import_smote() -> type:
    """The class of imbalanced-learn.

    Raises:
        BadConfiguration: It is not installed.
    """
    try:
        from imblearn.over_sampling import SMOTE
    except ImportError as error:
        raise BadConfiguration(
            f"--imbalance smote needs imbalanced-learn ({error}): pip install imbalanced-learn, "
            "or take --imbalance oversample."
        ) from None
    return SMOTE


def smote(table: Table, samples: Samples, seed: int) -> tuple[Table, Samples]:
    """Fill every class up to the size of the largest.

    Args:
        table: Features of the train split.
        samples: The train split. A new image weighs what those of its class do on average.
        seed: Random seed; the same for every epoch.

    Returns:
        The features, those of ``table`` first, and samples of the same length. The images of
        new rows are those of any other of their class: only labels and weights are meant.

    Raises:
        BadData: A class has less than two images, so that nothing lies between them.
        CheckFailed: The features do not fit into memory.
    """
    counts = samples.counts()
    too_few = [f"{name}: {n}" for name, n in zip(samples.classes, counts, strict=True) if n < 2]
    if too_few:
        raise BadData("smote needs two training images of each class at least; found", too_few)
    size = int(counts.max() * len(counts) * np.prod(table.shape) * 4)
    if not fits(2 * size):
        raise CheckFailed(
            f"smote would need {2 * size / 1e9:.1f} GB of memory. Use --imbalance oversample."
        )
    features = table.take(np.arange(len(table))).reshape(len(table), -1)
    # A class has one neighbour less than images; imbalanced-learn fails if asked for more.
    sampler = import_smote()(random_state=seed, k_neighbors=int(min(NEIGHBOURS, counts.min() - 1)))
    drawn, labels = sampler.fit_resample(features, samples.labels)
    first = np.unique(samples.labels, return_index=True)[1]
    # fit_resample returns the given rows first, then the new ones.
    more = samples.take(np.r_[np.arange(len(table)), first[labels[len(table) :]]])
    means = np.bincount(samples.labels, samples.weights) / counts
    weights = np.r_[samples.weights, means[labels[len(table) :]]].astype("float32")
    rows = drawn.astype("float32").reshape(len(drawn), *table.shape)
    filled = Table([rows], np.zeros(len(rows), int), np.arange(len(rows)))
    return filled, replace(more, weights=weights)
