"""Layers that compute what classical learners compute: kernels, neighbours, trees.

Their weights do not train. They are stored in the model's file, so that a run and its exports need
neither scikit-learn nor pickled objects.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = [
    "SMALLEST",
    "GaussianKernel",
    "NearestNeighbors",
    "Standardization",
    "TreeEnsemble",
    "differentiable",
]

SMALLEST = 1e-7
"""Least probability, whose logarithm is finite."""


class _Fixed(keras.layers.Layer):
    """A layer whose weights are arrays from elsewhere, in float32 under any policy."""

    def __init__(self, **options: Any):
        super().__init__(**{**options, "dtype": "float32", "trainable": False})

    def array(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
        """Add a weight that does not train."""
        return self.add_weight(
            shape=shape, dtype=dtype, name=name, initializer="zeros", trainable=False
        )

    def assign(self, **arrays: np.ndarray) -> None:
        """Set weights by name."""
        for name, value in arrays.items():
            getattr(self, name).assign(value)


@keras.saving.register_keras_serializable("keras_transfer")
class Standardization(_Fixed):
    """(x - mean) / scale of (batch, channels) float features."""

    def build(self, input_shape: Any) -> None:
        """Create ``mean`` and ``scale``, (channels,)."""
        self.mean = self.array("mean", (input_shape[-1],))
        self.scale = self.array("scale", (input_shape[-1],))

    def call(self, inputs: Any) -> Any:
        """(batch, channels) float32."""
        return (inputs - self.mean) / self.scale


@keras.saving.register_keras_serializable("keras_transfer")
class GaussianKernel(_Fixed):
    """exp(-gamma * |x - r|^2) of features and each reference r.

    Args:
        references: Number of references.
        gamma: Width of the kernel, above 0.
        **options: Options of every Keras layer.
    """

    def __init__(self, references: int, gamma: float, **options: Any):
        super().__init__(**options)
        self.count, self.gamma = references, gamma

    def build(self, input_shape: Any) -> None:
        """Create ``references``, (references, channels)."""
        self.references = self.array("references", (self.count, input_shape[-1]))

    def call(self, inputs: Any) -> Any:
        """(batch, references) float32, 0..1."""
        return ops.exp(-self.gamma * _squared_distances(inputs, self.references))

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "references": self.count, "gamma": self.gamma}


@keras.saving.register_keras_serializable("keras_transfer")
class NearestNeighbors(_Fixed):
    """Logarithm of the share of each class among the k nearest references.

    Args:
        references: Number of references.
        k: Number of neighbours, at most that.
        classes: Number of classes.
        **options: Options of every Keras layer.
    """

    def __init__(self, references: int, k: int, classes: int, **options: Any):
        super().__init__(**options)
        self.count, self.k, self.classes = references, k, classes

    def build(self, input_shape: Any) -> None:
        """Create ``references``, (references, channels), and their ``votes``, 0/1 by class."""
        self.references = self.array("references", (self.count, input_shape[-1]))
        self.votes = self.array("votes", (self.count, self.classes))

    def call(self, inputs: Any) -> Any:
        """(batch, classes) float32."""
        _, nearest = ops.top_k(-_squared_distances(inputs, self.references), self.k)
        votes = ops.take(self.votes, nearest, axis=0)
        return ops.log(ops.maximum(ops.mean(votes, axis=1), SMALLEST))

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        mine = {"references": self.count, "k": self.k, "classes": self.classes}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable("keras_transfer")
class TreeEnsemble(_Fixed):
    """The sum of the values of the leaves that an example ends in; see ``learners.heads``.

    All trees take one step at a time, by looking up the nodes that they are at.

    Args:
        nodes: Number of nodes of all trees.
        trees: Number of trees.
        depth: Number of steps.
        classes: Number of classes.
        logits: Whether the sum is logits; else it is probabilities, and their logarithm is given.
        **options: Options of every Keras layer.
    """

    def __init__(
        self, nodes: int, trees: int, depth: int, classes: int, logits: bool, **options: Any
    ):
        super().__init__(**options)
        self.nodes, self.trees, self.depth = nodes, trees, depth
        self.classes, self.logits = classes, logits

    def build(self, input_shape: Any) -> None:
        """Create the table of nodes."""
        for name in ("feature", "left", "right"):
            setattr(self, name, self.array(name, (self.nodes,), "int32"))
        self.threshold = self.array("threshold", (self.nodes,))
        self.value = self.array("value", (self.nodes, self.classes))
        self.roots = self.array("roots", (self.trees,), "int32")
        self.bias = self.array("bias", (self.classes,))

    def call(self, inputs: Any) -> Any:
        """(batch, classes) float32."""
        at = ops.zeros_like(inputs[:, :1], dtype="int32") + self.roots
        for _ in range(self.depth):
            value = ops.take_along_axis(inputs, ops.take(self.feature, at), axis=1)
            left = ops.less_equal(value, ops.take(self.threshold, at))
            at = ops.where(left, ops.take(self.left, at), ops.take(self.right, at))
        total = ops.sum(ops.take(self.value, at, axis=0), axis=1) + self.bias
        return total if self.logits else ops.log(ops.maximum(total, SMALLEST))

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        mine = {"nodes": self.nodes, "trees": self.trees, "depth": self.depth}
        more = {"classes": self.classes, "logits": self.logits}
        return {**super().get_config(), **mine, **more}


def differentiable(model: keras.Model) -> bool:
    """Whether the outputs of a model have a gradient: shares of neighbours and leaves have none."""
    # A mean of several learners has each in a model of its own.
    layers = model._flatten_layers()
    return not any(isinstance(layer, NearestNeighbors | TreeEnsemble) for layer in layers)


def _squared_distances(inputs: Any, references: Any) -> Any:
    """(batch, references) float32 squared Euclidean distances."""
    products = ops.matmul(inputs, ops.transpose(references))
    lengths = ops.sum(ops.square(inputs), axis=1, keepdims=True)
    total = lengths - 2 * products + ops.sum(ops.square(references), axis=1)
    return ops.maximum(total, 0.0)  # rounding makes small ones negative
