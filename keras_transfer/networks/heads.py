"""What is put on a backbone: pooling, hidden layers, the layer of logits; or several of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

from keras_transfer.errors import UnknownName
from keras_transfer.networks.preprocessing import preprocess
from keras_transfer.tables import Table

__all__ = ["POOLINGS", "build_classifier", "build_head", "members_of"]

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


def build_head(  # noqa: PLR0913
    classes: int,
    *,
    pooling: str = "avg",
    units: Sequence[int] = (),
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    members: int = 1,
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
        members: How many such heads stand side by side on the pooled features; of several the
            answer is the mean: its softmax is the mean of theirs.

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

    def answer(x: keras.KerasTensor, whose: str = "") -> keras.KerasTensor:
        for number, width in enumerate(units, start=1):
            name = f"{whose}hidden{number}"
            x = dense(width, name, use_bias=not batch_norm)(x)
            if batch_norm:
                x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.Activation(activate, name=f"{name}_activation")(x)
            if dropout:
                x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
        if dropout and not units:
            x = layers.Dropout(dropout, name=f"{whose}dropout")(x)
        return dense(classes, f"{whose}logits", dtype="float32")(x)

    def attach(features: keras.KerasTensor) -> keras.KerasTensor:
        x = pool(features)
        if members == 1:
            return answer(x)
        return _mean([answer(x, f"member{number}_") for number in range(1, members + 1)])

    return attach


def _mean(logits: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """The logarithm of the mean of what the members' softmax gives, for every class.

    The largest of the logarithms is taken out of the sum, so that none overflows or vanishes.
    These operations, unlike TensorFlow's logsumexp, are known to every runtime we export to.
    """
    ops = keras.ops
    logs = ops.log_softmax(ops.stack(logits, axis=1), axis=-1)
    largest = ops.max(logs, axis=1, keepdims=True)
    mean = ops.mean(ops.exp(logs - largest), axis=1)
    return ops.squeeze(largest, axis=1) + ops.log(mean)


def members_of(classifier: keras.Model) -> list[tuple[keras.Model, keras.Model]]:
    """Take a classifier of several members apart; all share their layers with it.

    Args:
        classifier: As ``build_classifier`` makes it of a head of several members; newly built, for
            once its layers stand in other graphs too they do not know which is meant.

    Returns:
        For each member a classifier of its own, from pixels to logits, and its head alone, from
        pooled features to logits.
    """
    pooled = classifier.get_layer("pool").output
    names = {layer.name for layer in classifier.layers}
    answers: list[keras.KerasTensor] = []
    while (name := f"member{len(answers) + 1}_logits") in names:
        answers.append(classifier.get_layer(name).output)
    return [
        (
            keras.Model(classifier.input, answer, name="classifier"),
            keras.Model(pooled, answer, name=f"member{number}"),
        )
        for number, answer in enumerate(answers, start=1)
    ]


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
