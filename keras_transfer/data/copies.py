"""Exact copies of an example, and other examples that belong together, form a family.

A family counts as one example in statistics, and lies on one side of a split.
"""

from __future__ import annotations

import logging

import numpy as np

from keras_transfer.data.samples import SPLITS, Samples

__all__ = ["families", "related", "report_copies"]

logger = logging.getLogger("keras_transfer")


def families(digests: np.ndarray) -> np.ndarray:
    """Number the families of examples that are exact copies of each other.

    Args:
        digests: (n,) str, equal for exact copies; "" for an example that has none, and no copies.

    Returns:
        (n,) int64 from 0 on, in the order of appearance.
    """
    numbers: dict[object, int] = {}
    keys = [digest or row for row, digest in enumerate(digests)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], "int64")


def related(*relations: np.ndarray) -> np.ndarray:
    """Number the families of examples that share a value, directly or transitively.

    Args:
        *relations: (n,) object arrays of str, such as digests and groups; "" is shared by none.

    Returns:
        (n,) int32.
    """
    from scipy.sparse import coo_array  # here: listing recipes must stay instant
    from scipy.sparse.csgraph import connected_components

    edges = []
    for values in relations:
        first: dict[str, int] = {}
        edges += [
            (i, j)
            for i, value in enumerate(values)
            if value and (j := first.setdefault(value, i)) != i
        ]
    ends = np.array(edges, "int32").reshape(-1, 2).T
    n = len(relations[0])
    graph = coo_array((np.ones(len(edges), bool), (ends[0], ends[1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def report_copies(samples: Samples) -> None:
    """Log the number of examples in each split that are copies of another one in it."""
    for split in (*SPLITS, ""):
        digests = samples.split(split).digests
        distinct = len(set(families(digests)))
        if distinct < len(digests):
            logger.warning(
                "Warning: of %s examples in the %s only %s are distinct; the others are exact "
                "copies. Intervals of metrics count distinct examples.",
                *(f"{len(digests):,}", f"{split} split" if split else "data", f"{distinct:,}"),
            )
