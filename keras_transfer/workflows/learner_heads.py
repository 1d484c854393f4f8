"""From a fitted learner to the layers that compute what it computes."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import keras
import numpy as np

from keras_transfer.learners.heads import (
    FeatureMap,
    KernelHead,
    LinearHead,
    MixtureHead,
    NeighborsHead,
    Standard,
    TransformedHead,
    TreesHead,
)
from keras_transfer.networks.learner_layers import (
    SMALLEST,
    GaussianKernel,
    NearestNeighbors,
    Standardization,
    TreeEnsemble,
)

__all__ = ["learner_logits", "mapped"]

NAME = "logits"
"""Of the last layer, as in every head."""


@singledispatch
def learner_logits(head: Any, features: keras.KerasTensor) -> keras.KerasTensor:
    """Add the layers of a fitted learner behind (batch, channels) features.

    Args:
        head: A row of ``learners.heads``.
        features: Pooled features.

    Returns:
        (batch, classes) float32 logits; their softmax is the probability.
    """
    raise TypeError(type(head))


@learner_logits.register
def _(head: LinearHead, features: keras.KerasTensor) -> keras.KerasTensor:
    layer = keras.layers.Dense(len(head.bias), dtype="float32", name=NAME)
    logits = layer(features)
    layer.set_weights([head.kernel.astype("float32"), head.bias.astype("float32")])
    return logits


@learner_logits.register
def _(head: KernelHead, features: keras.KerasTensor) -> keras.KerasTensor:
    layer = GaussianKernel(len(head.references), head.gamma, name="kernel")
    values = layer(_standardized(head.standard, features))
    layer.assign(references=head.references)
    return learner_logits(head.linear, values)


@learner_logits.register
def _(head: NeighborsHead, features: keras.KerasTensor) -> keras.KerasTensor:
    layer = NearestNeighbors(len(head.references), head.k, head.classes, name=NAME)
    logits = layer(_standardized(head.standard, features))
    layer.assign(references=head.references, votes=np.eye(head.classes)[head.labels])
    return logits


@learner_logits.register
def _(head: TreesHead, features: keras.KerasTensor) -> keras.KerasTensor:
    nodes, classes = head.value.shape
    layer = TreeEnsemble(nodes, len(head.roots), head.depth, classes, head.logits, name=NAME)
    logits = layer(features)
    names = ("feature", "threshold", "left", "right", "value", "roots", "bias")
    layer.assign(**{name: getattr(head, name) for name in names})
    return logits


@learner_logits.register
def _(head: MixtureHead, features: keras.KerasTensor) -> keras.KerasTensor:
    start, shares = 0, []
    for number, (part, width) in enumerate(zip(head.heads, head.channels, strict=True), start=1):
        # A model of its own: layers of two learners have the same names.
        given = keras.Input((width,), dtype="float32")
        learner = keras.Model(given, learner_logits(part, given), name=f"learner{number}")
        logits = learner(features[:, start : start + width])
        shares.append(keras.ops.softmax(logits) * float(head.weights[number - 1]))
        start += width
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    return keras.ops.log(keras.ops.maximum(total, SMALLEST))


@learner_logits.register
def _(head: TransformedHead, features: keras.KerasTensor) -> keras.KerasTensor:
    return learner_logits(head.head, mapped(head.map, features))


def mapped(step: FeatureMap, features: keras.KerasTensor) -> keras.KerasTensor:
    """Add the layers of a map behind (batch, channels) features; (batch, components) float32."""
    if step.standard is not None:
        features = _standardized(step.standard, features, "transform_standardization")
    if step.unit:
        features = _unit_length("transform_length", features)
    if step.kernel is not None:
        width = step.kernel.shape[1]
        layer = keras.layers.Dense(
            width, use_bias=False, trainable=False, dtype="float32", name="transform"
        )
        features = layer(features)
        layer.set_weights([step.kernel.astype("float32")])
    return _unit_length("transformed_length", features) if step.unit_after else features


def _unit_length(name: str, features: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.UnitNormalization(dtype="float32", name=name)(features)


def _standardized(
    standard: Standard, features: keras.KerasTensor, name: str = "standardization"
) -> keras.KerasTensor:
    layer = Standardization(name=name)
    values = layer(features)
    layer.assign(mean=standard.mean, scale=standard.scale)
    return values
