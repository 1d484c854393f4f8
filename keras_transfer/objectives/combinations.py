"""Strata of examples that have several labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["combination_strata"]

MIN_STRATUM = 3
"""One example for each of train, val and test."""


def combination_strata(
    values: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Group examples by their combination of labels, so that splits have each in proportion.

    Groups of fewer than 3 examples cannot be in all of train, val and test, so they are merged:

    1. a combination with 3 or more examples is a stratum, called "cat|dog" or "(no label)";
    2. the other examples are grouped by their rarest label (the first of equally rare ones),
       "cat|...", for a rare label is what a split may miss;
    3. groups that are still smaller than 3 become one, "(other)";
    4. if that is smaller than 3 too, it joins the largest stratum, the first of equally large.

    Args:
        values: (n, labels) 0 or 1; rows with NaN form a stratum "(not known)" of their own.
        names: Names of the labels.

    Returns:
        (n,) int32 strata and their names, in order of name.
    """
    known = ~np.isnan(values).any(axis=1)
    # object: a string array of NumPy would cut names at its width.
    owner = np.full(len(values), "(not known)", object)
    owner[known] = _owners(values[known] > 0, names)
    strata, number = np.unique(owner.astype(str), return_inverse=True)
    return number.astype("int32"), tuple(strata.tolist())


def _owners(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(n,) object array of the name of each example's stratum."""
    owner = np.array(
        ["|".join(np.array(names, object)[row]) or "(no label)" for row in values], object
    )
    # Before any merging, so that only combinations that are rare themselves change.
    rare = _rare(owner)
    # Labels that an example does not have must never be its rarest one.
    counts = np.where(values, values.sum(axis=0), len(values) + 1)
    rarest = counts.argmin(axis=1)
    some = rare & values.any(axis=1)
    owner[some] = [f"{names[label]}|..." for label in rarest[some]]
    owner[_rare(owner)] = "(other)"
    ambiguous = _rare(owner)
    # With fewer than 3 examples in all there is nothing to join.
    if ambiguous.any() and not ambiguous.all():
        kept, sizes = np.unique(owner[~ambiguous].astype(str), return_counts=True)
        owner[ambiguous] = kept[sizes.argmax()]
    return owner


def _rare(owner: np.ndarray) -> np.ndarray:
    """(n,) bool: the examples of groups that are too small."""
    # As str: NumPy sorts an object array by slow Python comparisons.
    number, sizes = np.unique(owner.astype(str), return_inverse=True, return_counts=True)[1:]
    return sizes[number] < MIN_STRATUM
