"""What is put on a backbone: pooling, hidden layers, and the layer of logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

from keras_transfer.errors import UnknownName
from keras_transfer.networks.preprocessing import preprocess
from keras_transfer.tables import Table

__all__ = ["POOLINGS", "build_classifier", "build_head"]

Part = Callable[[keras.KerasTensor], keras.KerasTensor]


def _average_and_maximum(features: keras.KerasTensor) -> keras.KerasTensor:
    both = [layers.GlobalAveragePooling2D()(features), layers.GlobalMaxPooling2D()(features)]
    return layers.Concatenate(name="pool")(both)


POOLINGS: Table[Part] = Table(
    "pooling",
    {
        "avg": lambda features: layers.GlobalAveragePooling2D(name="pool")(features),
        "max": lambda features: layers.GlobalMaxPooling2D(name="pool")(features),
        "flatten": lambda features: layers.Flatten(name="pool")(features),
        "avgmax": _average_and_maximum,
    },
)
"""How the last map of features, (batch, height, width, channels), becomes one vector each."""


def build_head(
    classes: int,
    *,
    pooling: str = "avg",
    units: Sequence[int] = (),
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
) -> Part:
    """Describe a head; the graph is made where the result is called.

    ``pooling="flatten", units=(256,)`` is the textbook head of VGG16,
    ``pooling="avg", units=(1024,)`` that of ResNet50.

    Args:
        classes: How many logits; a binary problem has two.
        pooling: A row of ``POOLINGS``.
        units: Widths of the hidden layers.
        activation: Of the hidden layers, by its Keras name.
        dropout: Share of values dropped after each hidden layer; after pooling if there is none.
        batch_norm: Whether hidden layers are normalised, before the activation.
        l1: Factor of the sum of absolute values of each kernel, in the loss.
        l2: Factor of the sum of squares of each kernel, in the loss.

    Returns:
        Function from (batch, height, width, channels) features to (batch, classes) logits, which
        are float32 under any precision policy.

    Raises:
        UnknownName: No such pooling or activation.
    """
    pool, activate = POOLINGS[pooling], _activation(activation)

    def dense(width: int, name: str, **more: object) -> layers.Layer:
        penalty = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
        return layers.Dense(width, kernel_regularizer=penalty, name=name, **more)

    def attach(features: keras.KerasTensor) -> keras.KerasTensor:
        x = pool(features)
        for number, width in enumerate(units, start=1):
            x = dense(width, f"hidden{number}", use_bias=not batch_norm)(x)
            if batch_norm:
                x = layers.BatchNormalization(name=f"hidden{number}_bn")(x)
            x = layers.Activation(activate, name=f"hidden{number}_activation")(x)
            if dropout:
                x = layers.Dropout(dropout, name=f"hidden{number}_dropout")(x)
        if dropout and not units:
            x = layers.Dropout(dropout, name="dropout")(x)
        return dense(classes, "logits", dtype="float32")(x)

    return attach


def _activation(name: str) -> str:
    try:
        keras.activations.get(name)
    except ValueError:
        known = [one for one in dir(keras.activations) if not one.startswith("_")]
        raise UnknownName("activation", name, known) from None
    return name


def build_classifier(backbone: keras.Model, head: Part, *, preprocessing: str) -> keras.Model:
    """Join preprocessing, backbone and head into one model, from pixels to logits.

    Args:
        backbone: As ``build_backbone`` makes it; it becomes a layer of that name, and its weights
            stay its own.
        head: As ``build_head`` makes it.
        preprocessing: A row of ``PREPROCESSINGS``, that of the backbone's row in ``BACKBONES``.

    Returns:
        (batch, size, size, 3) float32 RGB pixels, 0..255, to (batch, classes) float32 logits.

    Raises:
        UnknownName: No such preprocessing.
    """
    pixels = keras.Input(backbone.input_shape[1:], dtype="float32", name="pixels")
    features = backbone(preprocess(pixels, preprocessing))
    return keras.Model(pixels, head(features), name="classifier")
