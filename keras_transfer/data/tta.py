"""Test-time augmentation: the same images seen in several ways, whose answers are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import tensorflow as tf

from keras_transfer.data.batches import Augmenter, Loading
from keras_transfer.data.policies import Augmentation
from keras_transfer.data.samples import CheckResult, Samples
from keras_transfer.errors import BadConfiguration

__all__ = ["Changed", "check_views", "views"]

MOST = 64


class Changed:
    """A store of images that are resized and changed when they are read.

    Args:
        samples: The images.
        loading: To which size, and how, they are brought.
        change: Maps (1, size, size, 3) float32 pixels 0..255 and (1, 2) int32 seeds to pixels.
        number: Of this way to see them; part of the seeds.
    """

    def __init__(self, samples: Samples, loading: Loading, change: Augmenter, number: int):
        self.samples, self.loading = samples, loading
        self.change, self.number = change, number

    def decode(self, row: tf.Tensor) -> tf.Tensor:
        """Image number ``row``: (size, size, 3) uint8, changed by its row number's seed."""
        pixels = tf.cast(self.loading.pixels(self.samples, row), tf.float32)
        seed = tf.stack([tf.constant(self.number), tf.cast(row, tf.int32)])
        changed = self.change(pixels[None], seed[None])[0]
        whole = tf.cast(tf.round(tf.clip_by_value(changed, 0, 255)), tf.uint8)
        return tf.ensure_shape(whole, (self.loading.size, self.loading.size, 3))

    def check(self, row: int) -> CheckResult:
        """Look at the original again."""
        return self.samples.store.check(row)

    def stamp(self, row: int) -> tuple[str, int, int] | None:
        """Of the original."""
        return self.samples.store.stamp(row)


def check_views(asked: str | int, augment: Mapping[str, Any]) -> Augmenter | None:
    """Make sense of what ``--tta`` says.

    Args:
        asked: "flip", or a number of views.
        augment: The settings of the run's own augmentation, by which a number of views are changed.

    Returns:
        That augmentation; None where only the mirror image is asked for.

    Raises:
        BadConfiguration: It is neither; or the run had no augmentation to see images by.
    """
    if asked == "flip":
        return None
    if not str(asked).isdecimal() or not 2 <= int(asked) <= MOST:
        raise BadConfiguration(
            f"--tta {asked}: should be flip, or how many views of each image are averaged, "
            f"from 2 to {MOST}."
        )
    change = Augmentation(**augment)
    if change.changes_nothing:
        raise BadConfiguration(
            f"--tta {asked} would see images as the training did, but that changed none (its "
            "setting augment is empty), so all views would be the same. Try --tta flip."
        )
    return change


def views(
    samples: Samples, loading: Loading, asked: str | int, augment: Mapping[str, Any]
) -> list[Samples]:
    """Ways to see images, the first of them as they are.

    Args:
        samples: The images.
        loading: How they become batches.
        asked: "flip" for the images and their mirror images; or a number of views, all but the
            first of which are changed at random, by the same seeds in every call.
        augment: The settings of the run's own augmentation.

    Raises:
        BadConfiguration: As ``check_views``.
    """
    change = check_views(asked, augment)
    if change is None:
        return [samples, _seen(samples, loading, lambda pixels, _: tf.reverse(pixels, [2]), 1)]
    return [samples, *(_seen(samples, loading, change, n) for n in range(1, int(asked)))]


def _seen(samples: Samples, loading: Loading, change: Augmenter, number: int) -> Samples:
    return replace(samples, store=Changed(samples, loading, change, number))
