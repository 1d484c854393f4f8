"""Test-time augmentation: predictions are averaged over several views of each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import tensorflow as tf

from keras_transfer.data.batches import Augmenter, Loading, Tensors
from keras_transfer.data.samples import CheckResult, Judge, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.inputs.images.policies import Augmentation

__all__ = ["Changed", "check_views", "views"]

MOST = 64


class Changed:
    """A store of images that are prepared and changed when they are read.

    Args:
        samples: The images.
        loading: How they are prepared.
        change: Maps inputs of a batch and (batch, 2) int32 seeds to changed inputs.
        number: Of this view; part of the seeds.
    """

    def __init__(self, samples: Samples, loading: Loading, change: Augmenter, number: int):
        self.samples, self.loading = samples, loading
        self.change, self.number = change, number

    def prepared(self, row: tf.Tensor) -> Tensors:
        """Image number ``row``: {"pixels": (size, size, 3) uint8}, changed by its row's seed."""
        example = self.loading.example(self.samples, row)
        batch = self.loading.input.collate({name: x[None] for name, x in example.items()})
        seed = tf.stack([tf.constant(self.number), tf.cast(row, tf.int32)])
        changed = self.change(batch, seed[None])
        return {
            name: tf.ensure_shape(_rounded(changed[name][0]), x.shape)
            for name, x in example.items()
        }

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Image number ``row``, prepared and changed: (size, size, 3) uint8."""
        (pixels,) = self.prepared(row).values()
        return pixels

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Check the original."""
        return self.samples.store.check(row, judge)

    def stamp(self, row: int) -> tuple[str, int, int] | None:
        """Stamp of the original."""
        return self.samples.store.stamp(row)


def _rounded(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0, 255)), tf.uint8)


def _mirrored(batch: Tensors, seeds: tf.Tensor) -> Tensors:
    return {name: tf.reverse(pixels, [2]) for name, pixels in batch.items()}


def check_views(asked: str | int, augment: Mapping[str, Any] | None) -> None:
    """Parse and check the option ``--tta``.

    Args:
        asked: "flip", or a number of views.
        augment: The settings of the run's own augmentation, by which a number of views are changed;
            None for texts.

    Raises:
        BadConfiguration: It is neither; or the run had no augmentation to see images by.
    """
    if augment is None:
        raise BadConfiguration(f"--tta {asked} averages views of images. Leave it out for texts.")
    if asked == "flip":
        return
    if not str(asked).isdecimal() or not 2 <= int(asked) <= MOST:
        raise BadConfiguration(
            f"--tta {asked}: should be flip, or how many views of each image are averaged, "
            f"from 2 to {MOST}."
        )
    if Augmentation(**augment).changes_nothing:
        raise BadConfiguration(
            f"--tta {asked} would see images as the training did, but that changed none (its "
            "setting augment is empty), so all views would be the same. Try --tta flip."
        )


def views(samples: Samples, loading: Loading, asked: str | int) -> list[Samples]:
    """Views of images; the first is unchanged.

    Args:
        samples: The images.
        loading: How they become batches; its input has the run's own augmentation.
        asked: "flip" for the images and their mirror images; or a number of views, all but the
            first of which are changed at random, by the same seeds in every call.

    Raises:
        BadConfiguration: As ``check_views``.
    """
    check_views(asked, loading.input.augment_settings)
    if asked == "flip":
        return [samples, _seen(samples, loading, _mirrored, 1)]
    change = loading.input.augment
    return [samples, *(_seen(samples, loading, change, n) for n in range(1, int(asked)))]


def _seen(samples: Samples, loading: Loading, change: Augmenter, number: int) -> Samples:
    return replace(samples, store=Changed(samples, loading, change, number))
