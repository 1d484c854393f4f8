"""Checks of the arrays that domains are compared by."""

from __future__ import annotations

import numpy as np

from keras_transfer.errors import BadData, CheckFailed

__all__ = [
    "MIN_EXAMPLES",
    "check_classes",
    "check_labelled",
    "check_probabilities",
    "feature_pair",
]

MIN_EXAMPLES = 20
"""Examples that each domain, or each class of both, needs for a comparison of features."""
SUM_TOLERANCE = 1e-2
"""How far a row of probabilities may be from the sum 1, as those of float16 are."""


def feature_pair(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of two domains as float64, once they can be compared.

    Args:
        source: (n, channels) float.
        target: (m, channels) float.

    Raises:
        BadData: One is no table of two rows or more, or their numbers of columns differ.
        CheckFailed: A feature is NaN or infinite.
    """
    pair = np.asarray(source, "float64"), np.asarray(target, "float64")
    for name, rows in zip(("source", "target"), pair, strict=True):
        if rows.ndim != 2 or len(rows) < 2:
            raise BadData(
                f"The {name} has features of shape {rows.shape}; a domain needs two or more rows "
                "with one feature vector each. Give more examples, and pool features of images."
            )
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        if bad:
            raise CheckFailed(
                f"{bad} of {len(rows)} rows of the {name}'s features are not numbers (NaN or "
                "infinite). Check the weights of the network, or use float32."
            )
    columns = [rows.shape[1] for rows in pair]
    if columns[0] != columns[1]:
        raise BadData(
            f"The source has {columns[0]} features and the target {columns[1]}. Compute both with "
            "the same network, layer and pooling."
        )
    return pair


def check_probabilities(name: str, probabilities: np.ndarray, classes: int | None) -> np.ndarray:
    """Probabilities as float64, once each row is a distribution.

    Args:
        name: Whose they are, for the message.
        probabilities: (n, classes) float.
        classes: Number of classes that they must have; None: any.

    Raises:
        BadData: There is no row, or the number of classes is another one.
        CheckFailed: A row has NaN, a negative value or a sum other than 1.
    """
    table = np.asarray(probabilities, "float64")
    if table.ndim != 2 or not table.size:
        raise BadData(
            f"The {name} has probabilities of shape {table.shape}; give one row for each example "
            "and one column for each class."
        )
    if classes not in (None, table.shape[1]):
        raise BadData(
            f"The {name} has probabilities of {table.shape[1]} classes instead of {classes}. "
            "Predict both with the same classes."
        )
    # Comparisons with NaN are false, so a row with NaN is bad too.
    good = (table >= 0).all(axis=1) & (abs(table.sum(axis=1) - 1) <= SUM_TOLERANCE)
    if not good.all():
        raise CheckFailed(
            f"{(~good).sum()} of {len(good)} rows of the {name} are no probabilities: not from 0 "
            "to 1 with sum 1. Give the output of a softmax, not logits."
        )
    return table


def check_classes(name: str, numbers: np.ndarray, classes: int) -> np.ndarray:
    """Classes as integers, once all are known.

    Args:
        name: What they are, for the message.
        numbers: (n,) int.
        classes: Number of classes.

    Raises:
        BadData: There is none, or one is not from 0 to ``classes`` - 1.
    """
    numbers = np.asarray(numbers)
    if not numbers.size:
        raise BadData(f"There are no {name}; give one or more examples.")
    # Comparisons with NaN are false: a label that is missing from a float column is bad too.
    bad = ~((numbers >= 0) & (numbers < classes))
    if bad.any():
        raise BadData(
            f"{bad.sum()} of {len(numbers)} {name} are not from 0 to {classes - 1}. Leave out "
            "examples whose class is not known."
        )
    return numbers.astype("int64")


def check_labelled(
    name: str, probabilities: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities as float64 and labels as integers of the same examples, once both are valid.

    Args:
        name: Whose they are, for the message.
        probabilities: (n, classes) float.
        labels: (n,) int.

    Raises:
        BadData: There is no example, or a label is not from 0 to ``classes`` - 1.
        CheckFailed: Rows are no probabilities.
    """
    table = check_probabilities(name, probabilities, None)
    labels = check_classes(f"{name} labels", labels, table.shape[1])
    if len(labels) != len(table):
        raise ValueError(f"{len(labels)} labels and {len(table)} predictions")
    return table, labels
