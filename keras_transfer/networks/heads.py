"""Heads: pooling, hidden layers and the layer of logits; one or several members."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

from keras_transfer.errors import UnknownName
from keras_transfer.tables import Table

__all__ = ["POOLINGS", "Head", "build_head"]

Head = Callable[[keras.KerasTensor], keras.KerasTensor]


def _average_and_maximum(features: keras.KerasTensor) -> keras.KerasTensor:
    both = [layers.GlobalAveragePooling2D()(features), layers.GlobalMaxPooling2D()(features)]
    return layers.Concatenate(name="pool")(both)


POOLINGS: Table[Head] = Table(
    "pooling",
    {
        "avg": lambda features: layers.GlobalAveragePooling2D(name="pool")(features),
        "max": lambda features: layers.GlobalMaxPooling2D(name="pool")(features),
        "flatten": lambda features: layers.Flatten(name="pool")(features),
        "avgmax": _average_and_maximum,
    },
)
"""Pooling of feature maps (batch, height, width, channels) to (batch, channels)."""


def build_head(  # noqa: PLR0913
    outputs: int,
    *,
    pooling: str | None = "avg",
    units: Sequence[int] = (),
    activation: str = "relu",
    dropout: float = 0.0,
    batch_normalization: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    members: int = 1,
    finish: Head | None = None,
    prefix: str = "",
) -> Head:
    """Describe a head; calling the result builds the graph.

    ``pooling="flatten", units=(256,)`` is the textbook head of VGG16,
    ``pooling="avg", units=(1024,)`` that of ResNet50.

    Args:
        outputs: Width of the last layer: classes (a binary problem has two), labels or targets.
        pooling: A row of ``POOLINGS``; None: the features are pooled already.
        units: Widths of the hidden layers.
        activation: Keras activation of the hidden layers.
        dropout: Share of values dropped after each hidden layer; after pooling if there is none.
        batch_normalization: Whether hidden layers are normalised, before the activation.
        l1: Factor of the sum of absolute values of each kernel, in the loss.
        l2: Factor of the sum of squares of each kernel, in the loss.
        members: How many such heads stand side by side on the pooled features; of several the
            output is the mean: its softmax is the mean of the members'.
        finish: Layers after the last one, such as an objective's rescaling.
        prefix: Starts the names of all layers, where a network has several heads.

    Returns:
        Function from (batch, height, width, channels) features to (batch, outputs) logits, which
        are float32 under any precision policy.

    Raises:
        UnknownName: No such pooling or activation.
    """
    activate = _activation(activation)
    pool = POOLINGS[pooling] if pooling is not None else None

    def dense(width: int, name: str, **more: object) -> layers.Layer:
        penalty = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
        return layers.Dense(width, kernel_regularizer=penalty, name=name, **more)

    def answer(x: keras.KerasTensor, whose: str = "") -> keras.KerasTensor:
        for number, width in enumerate(units, start=1):
            name = f"{whose}hidden{number}"
            # Batch normalization subtracts the mean, and with it any bias.
            x = dense(width, name, use_bias=not batch_normalization)(x)
            if batch_normalization:
                x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.Activation(activate, name=f"{name}_activation")(x)
            if dropout:
                x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
        if dropout and not units:
            x = layers.Dropout(dropout, name=f"{whose}dropout")(x)
        # float32 under mixed precision too: in float16 the loss may overflow.
        x = dense(outputs, f"{whose}logits", dtype="float32")(x)
        return x if finish is None else finish(x)

    def attach(features: keras.KerasTensor) -> keras.KerasTensor:
        x = features if pool is None else pool(features)
        if members == 1:
            return answer(x, prefix)
        return _mean([answer(x, f"member{number}_") for number in range(1, members + 1)])

    return attach


def _mean(logits: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """Logarithm of the members' mean softmax, for every class.

    The largest of the logarithms is taken out of the sum, so that none overflows or vanishes.
    These operations, unlike TensorFlow's logsumexp, are known to every runtime we export to.
    """
    ops = keras.ops
    logs = ops.log_softmax(ops.stack(logits, axis=1), axis=-1)
    largest = ops.max(logs, axis=1, keepdims=True)
    mean = ops.mean(ops.exp(logs - largest), axis=1)
    return ops.squeeze(largest, axis=1) + ops.log(mean)


def _activation(name: str) -> str:
    try:
        keras.activations.get(name)
    except ValueError:
        known = [attribute for attribute in dir(keras.activations) if not attribute.startswith("_")]
        raise UnknownName("activation", name, known).within("head.activation") from None
    return name
