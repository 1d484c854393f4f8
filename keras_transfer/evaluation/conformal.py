"""Split-conformal prediction: sets and intervals that hold the truth as often as asked for.

If n held-out examples and a new one are exchangeable, the score of the new one is at most the
ceil((n + 1) coverage)-th smallest of theirs with at least that probability (Papadopoulos et al.
2002; Vovk et al. 2005).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_transfer.tables import Table

__all__ = ["SETS", "conformal_quantile", "least_examples", "prediction_sets", "set_scores"]


def _lac(probabilities: np.ndarray) -> np.ndarray:
    return 1 - probabilities


def _aps(probabilities: np.ndarray) -> np.ndarray:
    # Stable: of equal probabilities the first class comes first, as in argmax.
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    scores = np.empty_like(sums)
    np.put_along_axis(scores, order, sums, axis=1)
    return scores


SETS: Table[Callable[[np.ndarray], np.ndarray]] = Table(
    "prediction set", {"lac": _lac, "aps": _aps}
)
"""From (n, classes) probabilities to the score of each class; a set holds those with low ones.

* lac: 1 - p, the smallest sets on average (Sadinle et al. 2019, arXiv:1609.00451);
* aps: the sum of p over the class and all more probable ones, whose sets grow with how unsure the
  model is (Romano et al. 2020, arXiv:2006.02544; without random ties, so slightly too large).
"""


def set_scores(probabilities: np.ndarray, method: str = "lac") -> np.ndarray:
    """(n, classes) float64 scores of (n, classes) probabilities; see ``SETS``."""
    return SETS[method](np.asarray(probabilities, "float64"))


def least_examples(coverage: float) -> int:
    """The fewest held-out examples that can promise a coverage."""
    n = int(np.ceil(coverage / (1 - coverage) - 1e-9))
    return max(n, 1)


def conformal_quantile(scores: np.ndarray, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of n scores; infinite if there are too few.

    Args:
        scores: (n,) float of held-out examples.
        coverage: In (0, 1).
    """
    place = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    return float("inf") if place > len(scores) else float(np.sort(scores)[place - 1])


def prediction_sets(probabilities: np.ndarray, quantile: float, method: str = "lac") -> np.ndarray:
    """(n, classes) bool: the classes in the set of each example, the most probable one always.

    Args:
        probabilities: (n, classes) float.
        quantile: Of the scores of the true classes of held-out examples.
        method: A row of ``SETS``.
    """
    found = set_scores(probabilities, method) <= quantile
    found[np.arange(len(found)), np.argmax(probabilities, axis=1)] = True
    return found
