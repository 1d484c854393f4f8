"""Batches of sequences without the padding that all of their rows share."""

from __future__ import annotations

from dataclasses import replace

import keras
import tensorflow as tf

from keras_transfer.data.batches import Tensors, as_written
from keras_transfer.data.lengths import MULTIPLE
from keras_transfer.data.samples import Samples
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.networks.free_length import with_free_length
from keras_transfer.networks.network import PADDING_MASK

__all__ = ["shortened", "takes_sequences", "without_padding"]


def takes_sequences(model: keras.Model) -> bool:
    """Whether a model takes sequences with their mask, and not what was pooled of them."""
    return isinstance(model.input, dict) and PADDING_MASK in model.input


def without_padding(inputs: Tensors) -> Tensors:
    """Cut the end of all sequences of a batch that is padding in each of them, in a graph.

    Args:
        inputs: ``padding_mask``, (batch, length) bool, true first; all others (batch, length, ...).

    Returns:
        The same with the length of the longest one, rounded up to a multiple of ``MULTIPLE`` if
        there are so many.
    """
    mask = inputs[PADDING_MASK]
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(mask, tf.int32), axis=1))
    longest = -(-longest // MULTIPLE) * MULTIPLE
    return {name: values[:, :longest] for name, values in inputs.items()}


def shortened(batches: StageBatches, model: keras.Model) -> StageBatches:
    """The same batches without shared padding, and a model that takes them.

    Args:
        batches: Of sequences.
        model: The model of these batches; its layers and weights are shared.
    """

    @as_written
    def cut(inputs: Tensors, *rest: Tensors) -> tuple:
        return without_padding(inputs), *rest

    def short(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.map(cut).prefetch(tf.data.AUTOTUNE)

    def evaluation(samples: Samples) -> tf.data.Dataset:
        # Outputs of each token could not be joined, were batches of several lengths.
        return batches.evaluation(samples) if per_token else short(batches.evaluation(samples))

    per_token = any(len(output.shape) > 2 for output in model.output.values())

    return replace(
        batches,
        model=with_free_length(model),
        train=lambda first_epoch: short(batches.train(first_epoch)),
        val=short(batches.val),
        evaluation=evaluation,
    )
