"""Sanity check: a map of the model must change where its weights are random.

Adebayo et al. 2018, https://arxiv.org/abs/1810.03292: some methods draw the edges of an image
whatever the network has learnt. First the head is initialized again, then all weights; the maps
before and after are compared by Spearman's rank correlation of their absolute values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy.stats import rankdata

__all__ = ["HIGH", "Sanity", "correlation", "randomized", "sanity_check"]

HIGH = 0.5
"""A correlation of maps that calls for caution: a quarter of the variance of the ranks (0.5^2)
comes from the image and the architecture, not from what was learnt."""

EXAMPLES = 8
"""How many examples are compared."""


class Sanity(NamedTuple):
    """Mean rank correlations of maps with those of a network with random weights, -1..1.

    Attributes:
        head: The head was initialized again.
        all: All weights were.
        examples: Number of compared examples; maps that are the same everywhere are left out.
    """

    head: float
    all: float
    examples: int

    @property
    def warning(self) -> str:
        """Why the maps should not be trusted; empty where they may be."""
        worst = max(self.head, self.all)
        if worst <= HIGH:
            return ""
        where = "all weights are" if worst == self.all else "the head is"
        return (
            f"The maps hardly change where {where} random (rank correlation {worst:.2f}, above "
            f"{HIGH}): they show the image or the features of the backbone rather than what the "
            "model has learnt. Compare another --method."
        )


def correlation(some: np.ndarray, others: np.ndarray) -> float:
    """Spearman's rank correlation of the absolute values of two maps; 0 if one is constant."""
    ranks = [rankdata(np.abs(np.nan_to_num(one)).ravel()) for one in (some, others)]
    if any(np.ptp(one) == 0 for one in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def sanity_check(
    model: keras.Model,
    backbones: Sequence[keras.Model],
    attribute: Callable[[], Iterable[np.ndarray]],
    seed: int = 0,
) -> Sanity | None:
    """Compare maps of a model with those of the same model with random weights.

    Args:
        model: The model; it has its own weights again at the end.
        backbones: Its parts that are no head.
        attribute: Computes the maps with the weights that the model has; at most eight.
        seed: Of the random weights.

    Returns:
        None where all maps are constant, so that there is nothing to compare.
    """
    own = [*attribute()]
    kept = [number for number, one in enumerate(own) if np.ptp(np.abs(one)) > 0]
    if not kept:
        return None
    body = {id(variable) for backbone in backbones for variable in backbone.variables}
    head = [variable for variable in model.variables if id(variable) not in body]

    def mean(variables: Sequence[Any]) -> float:
        with randomized(variables, seed):
            maps = [*attribute()]
        return float(np.mean([correlation(own[n], maps[n]) for n in kept]))

    return Sanity(mean(head), mean(model.variables), len(kept))


@contextmanager
def randomized(variables: Sequence[Any], seed: int = 0) -> Iterator[None]:
    """Let variables have new initial values in a block.

    Kernels are normal with variance 2 / inputs (He et al. 2015), biases and means are 0, scales and
    variances 1; what is no float stays. So activations keep their size in networks of any depth.
    """
    rng = np.random.default_rng(seed)
    before = [(variable, variable.numpy()) for variable in variables]
    try:
        for variable, value in before:
            if keras.backend.is_float_dtype(variable.dtype):
                variable.assign(_initial(variable.path, value.shape, rng))
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _initial(path: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    name = path.rpartition("/")[2]
    if len(shape) < 2:
        return np.full(shape, 0.0 if any(x in name for x in ("beta", "bias", "mean")) else 1.0)
    # A channel of a depthwise convolution sees itself alone.
    inputs = np.prod(shape[:2] if "depthwise" in name else shape[:-1])
    return rng.normal(0, np.sqrt(2 / inputs), shape)
