"""Adaptive batch normalization: the statistics of another domain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_transfer.errors import BadConfiguration, BadData

__all__ = ["adapt_batch_norm", "batch_norms"]


def adapt_batch_norm(model: keras.Model, batches: Iterable[Any]) -> int:
    """Replace the moving statistics of all batch normalizations by those of other inputs.

    AdaBN (Li et al. 2016, "Revisiting Batch Normalization For Practical Domain Adaptation",
    arXiv:1603.04779): the mean and the variance of each channel over all examples of the target
    domain take the place of those of the source; nothing is trained.

    One pass: in each batch a layer is normalized by the statistics of that batch, so that the
    layers after it see inputs that are adapted already, and the statistics of all batches are
    combined by their numbers of examples (as the "precise" statistics of Wu and Johnson 2021,
    arXiv:2105.07576). They are exact for the first normalization of a network, and for all of them
    if there is one batch; with large batches the others differ little. Dropout and other layers act
    as in inference.

    Args:
        model: Networks inside it count too, also where they are frozen.
        batches: Inputs of the model: tensors or dicts of them, (batch, ...).

    Returns:
        Number of layers that were adapted.

    Raises:
        BadConfiguration: The model has no batch normalization.
        BadData: There are no examples.
    """
    layers = batch_norms(model)
    sizes: list[int] = []
    found: list[list[tuple[np.ndarray, np.ndarray]]] = []
    with _statistics_of_the_batch(layers):
        step = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)
        for inputs in batches:
            step(inputs)
            sizes.append(int(ops.shape(keras.tree.flatten(inputs)[0])[0]))
            found.append([_moments(layer) for layer in layers])
    if not sum(sizes):
        raise BadData("There are no examples whose statistics batch normalization could take.")
    for layer, moments in zip(layers, zip(*found, strict=True), strict=True):
        mean, variance = _combined(moments, np.array(sizes) / sum(sizes))
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
    return len(layers)


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch normalizations of a model, also those of networks inside it.

    Raises:
        BadConfiguration: There are none.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not layers:
        raise BadConfiguration(
            f"The model {model.name!r} has no batch normalization whose statistics could be "
            "adapted. Use a backbone that has, such as resnet50 or mobilenet_v2, or another "
            "method, such as deep_coral."
        )
    return layers


@contextmanager
def _statistics_of_the_batch(layers: Sequence[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Let layers take the statistics of each batch, and use them, in what is traced inside."""
    for layer in layers:
        # Not training=True, which layers that are frozen ignore.
        layer.call = _measuring(layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _measuring(
    layer: keras.layers.BatchNormalization, call: Callable[..., Any]
) -> Callable[..., Any]:
    def measure(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        mean, variance = layer._moments(ops.cast(inputs, "float32"), mask)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
        return call(inputs, training=False, mask=mask)

    return measure


def _moments(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """(channels,) float64 mean and variance that a layer has now."""
    moving = (layer.moving_mean, layer.moving_variance)
    mean, variance = (ops.convert_to_numpy(value).astype("float64") for value in moving)
    return mean, variance


def _combined(
    moments: Sequence[tuple[np.ndarray, np.ndarray]], shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the union of batches with (batches,) shares of all examples."""
    means, variances = (np.stack(values) for values in zip(*moments, strict=True))
    mean = shares @ means
    # The variance of all is that within the batches and that of their means.
    return mean, shares @ (variances + (means - mean) ** 2)
