"""Fitted learners as arrays, from which layers of a network are made."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "FeatureMap",
    "KernelHead",
    "LinearHead",
    "MixtureHead",
    "NeighborsHead",
    "Standard",
    "TransformedHead",
    "TreesHead",
]


class Standard(NamedTuple):
    """Standardisation of features: (x - mean) / scale.

    Attributes:
        mean: (channels,) float64.
        scale: (channels,) float64, above 0.
    """

    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Standardise (..., channels) float; returns float32."""
        return ((features - self.mean) / self.scale).astype("float32")

    def then(self, mean: np.ndarray, scale: np.ndarray | float = 1.0) -> Standard:
        """Both as one: standardisation of what this one gives."""
        return Standard(self.mean + self.scale * mean, self.scale * scale)


class LinearHead(NamedTuple):
    """logits = x @ kernel + bias.

    Attributes:
        kernel: (channels, classes) float64.
        bias: (classes,) float64.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def calibrated(self, slope: float, shift: np.ndarray, known: np.ndarray) -> LinearHead:
        """That of logits * slope + shift for known classes; others keep their small logit."""
        bias = self.bias.copy()
        bias[known] = bias[known] * slope + shift[known]
        return LinearHead(self.kernel * slope, bias)

    def unscaled(self, standard: Standard) -> LinearHead:
        """The same on features that are not standardised."""
        kernel = self.kernel / standard.scale[:, None]
        return LinearHead(kernel, self.bias - standard.mean @ kernel)


class KernelHead(NamedTuple):
    """logits = k(x) @ kernel + bias, with k(x)_j = exp(-gamma * |x - references_j|^2).

    Attributes:
        references: (m, channels) float32, standardised.
        gamma: Width of the kernel.
        linear: Weights of the m kernel values.
        standard: Standardisation of x.
    """

    references: np.ndarray
    gamma: float
    linear: LinearHead
    standard: Standard

    def calibrated(self, slope: float, shift: np.ndarray, known: np.ndarray) -> KernelHead:
        """That of logits * slope + shift for known classes."""
        return self._replace(linear=self.linear.calibrated(slope, shift, known))


class NeighborsHead(NamedTuple):
    """Probability of a class: its share of the k nearest references.

    Attributes:
        references: (m, channels) float32, standardised.
        labels: (m,) int classes.
        k: Number of neighbours.
        classes: Number of classes.
        standard: Standardisation of x.
    """

    references: np.ndarray
    labels: np.ndarray
    k: int
    classes: int
    standard: Standard


class TreesHead(NamedTuple):
    """The sum of the values of the leaves that an example ends in, over all trees.

    The nodes of all trees are in one table. An example goes left where its feature is at most the
    threshold. A leaf is its own child on both sides.

    Attributes:
        feature: (nodes,) int32 channel that is compared; 0 in leaves.
        threshold: (nodes,) float32.
        left: (nodes,) int32 number of a node.
        right: (nodes,) int32.
        value: (nodes, classes) float32; 0 in nodes that are no leaves.
        roots: (trees,) int32.
        depth: Most steps from a root to a leaf.
        bias: (classes,) float32, added to the sum.
        logits: Whether the sum is logits; else it is probabilities.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    depth: int
    bias: np.ndarray
    logits: bool


class MixtureHead(NamedTuple):
    """The weighted mean of the probabilities of several learners, each on its own features.

    Attributes:
        heads: One for each block of features.
        channels: Width of each block.
        weights: (heads,) float64, 0 or more, of sum 1.
    """

    heads: tuple[LinearHead | KernelHead | NeighborsHead | TreesHead, ...]
    channels: tuple[int, ...]
    weights: np.ndarray


class FeatureMap(NamedTuple):
    """What an adapted model does to features before its learner; steps that are None are left out.

    Attributes:
        standard: Standardisation.
        unit: Whether each example is scaled to unit length then.
        kernel: (channels, components) float64 projections of that.
        unit_after: Whether the projected example is scaled to unit length.
    """

    standard: Standard | None = None
    unit: bool = False
    kernel: np.ndarray | None = None
    unit_after: bool = False


class TransformedHead(NamedTuple):
    """A learner on transformed features.

    Attributes:
        map: Applied to every example.
        head: Takes what it gives.
    """

    map: FeatureMap
    head: LinearHead | KernelHead | NeighborsHead | TreesHead
