"""Layers of adversarial domain adaptation: domain classifiers and what they take."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

__all__ = ["MAX_PRODUCTS", "MultilinearMap", "decode", "discriminate"]

MAX_WIDTH = 1024
"""Width of a domain classifier's hidden layers in the papers, which have 256 features and more."""
PER_CHANNEL = 4
"""The same ratio of width to features, where a network has fewer: it trains faster on a CPU."""
MAX_PRODUCTS = 4096
"""Largest number of products of features and classes of which all are taken, as in the paper."""
RANDOM_PRODUCTS = 1024
"""Number of random products where there are more."""


def discriminate(features: keras.KerasTensor, name: str = "domain") -> keras.KerasTensor:
    """Add a domain classifier of two hidden layers, as in DANN and CDAN.

    Its layers have no dropout and no batch normalization: the statistics of a batch would tell the
    share of its domains.

    Args:
        features: (batch, channels), behind a gradient reversal.
        name: Starts the names of its layers.

    Returns:
        (batch, 1) float32 logits of the target domain.
    """
    width = min(MAX_WIDTH, PER_CHANNEL * features.shape[-1])
    x = features
    for number in (1, 2):
        x = layers.Dense(width, activation="relu", name=f"{name}_hidden{number}")(x)
    return layers.Dense(1, dtype="float32", name=f"{name}_logit")(x)


def decode(code: keras.KerasTensor, features: keras.KerasTensor) -> keras.KerasTensor:
    """Add a decoder, with one hidden layer of the code's width.

    Args:
        code: (batch, channels).
        features: (batch, d), what is to be decoded.

    Returns:
        (batch, 2 d) float32, decoded features and, unchanged, those to compare them with.
    """
    x = layers.Dense(code.shape[-1], activation="relu", name="decoder_hidden")(code)
    decoded = layers.Dense(features.shape[-1], dtype="float32", name="decoded")(x)
    return layers.Concatenate(dtype="float32", name="decoder_columns")([decoded, features])


@keras.saving.register_keras_serializable(package="keras_transfer")
class MultilinearMap(layers.Layer):
    """Products of features and probabilities of classes.

    Long et al. 2018, "Conditional Adversarial Domain Adaptation", arXiv:1705.10667, section 3.2:
    all products ``f_i g_j``; or, of more than ``MAX_PRODUCTS``, random sums of them
    ``(R_f f) * (R_g g) / sqrt(1024)``, where ``*`` multiplies element by element, and R_f and R_g
    are standard normal and never trained. No gradient flows to the probabilities, as in the
    authors' code.

    Args:
        **options: Options of every Keras layer.
    """

    def build(self, input_shape: Any) -> None:
        """Draw the random matrices, if they are needed."""
        channels, classes = (shape[-1] for shape in input_shape)
        self.random = channels * classes > MAX_PRODUCTS
        if self.random:
            self.by_features, self.by_classes = (
                self.add_weight(
                    shape=(width, RANDOM_PRODUCTS),
                    initializer=keras.initializers.RandomNormal(stddev=1.0),
                    trainable=False,
                    name=name,
                )
                for width, name in ((channels, "by_features"), (classes, "by_classes"))
            )

    def call(self, inputs: Any) -> Any:
        """(batch, products) of (batch, channels) features and (batch, classes) logits."""
        features, logits = inputs
        shares = ops.stop_gradient(ops.softmax(ops.cast(logits, "float32"), axis=-1))
        shares = ops.cast(shares, features.dtype)
        if self.random:
            products = ops.matmul(features, self.by_features) * ops.matmul(shares, self.by_classes)
            return products / math.sqrt(RANDOM_PRODUCTS)
        products = ops.expand_dims(features, 2) * ops.expand_dims(shares, 1)
        return ops.reshape(products, (-1, features.shape[-1] * shares.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, products)."""
        (batch, channels), (_, classes) = input_shape
        products = channels * classes
        return batch, RANDOM_PRODUCTS if products > MAX_PRODUCTS else products
