"""Images a second through our augmentation and through ImageDataGenerator's.

``python -m benchmarks.augment`` takes about a minute. Both get the same images of 224 x 224
from memory, in batches of 32, each in the way it is meant to be used (``flow``; ``tf.data``).
They take turns, so that what else the machine does hits both; the median of the turns counts.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.inputs.images.augment import Augmenter

BATCH, SIZE, TURNS, SECONDS = 32, 224, 5, 1.5

MOVES = {
    "rotation_range": 20,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "shear_range": 15,
    "zoom_range": 0.2,
    "horizontal_flip": True,
}
CASES: dict[str, dict[str, Any]] = {
    "flip": {"horizontal_flip": True},
    "rotation, shift, shear, zoom, flip": MOVES,
    "the same, brightness, channel shift": MOVES
    | {"brightness_range": (0.8, 1.2), "channel_shift_range": 20.0},
}


def generator_batches(pixels: np.ndarray, ranges: dict[str, Any]) -> Iterator[Any]:
    generator = tf.keras.preprocessing.image.ImageDataGenerator(**ranges)
    return iter(generator.flow(pixels, batch_size=BATCH, shuffle=False))


def our_batches(pixels: np.ndarray, ranges: dict[str, Any]) -> Iterator[Any]:
    seeds = np.stack([np.zeros(len(pixels)), np.arange(len(pixels))], axis=1).astype("int32")
    data = tf.data.Dataset.from_tensors((pixels, seeds)).repeat()
    return iter(data.map(Augmenter(**ranges), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))


def rate(batches: Iterator[Any]) -> float:
    """Images a second over the next few seconds."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        count += len(next(batches))
    return count / (time.perf_counter() - start)


def compare(pixels: np.ndarray, ranges: dict[str, Any]) -> tuple[float, float]:
    """Median images a second of (ImageDataGenerator, ours), taking turns."""
    makers: tuple[Callable[..., Iterator[Any]], ...] = (generator_batches, our_batches)
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS):
        for make, found in zip(makers, rates, strict=True):
            batches = make(pixels, ranges)
            next(batches)
            found.append(rate(batches))
            del batches  # stops its threads before the other one's turn
    return statistics.median(rates[0]), statistics.median(rates[1])


def main() -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    pixels = np.random.default_rng(0).uniform(0, 255, (BATCH, SIZE, SIZE, 3)).astype("float32")
    print(f"{'images/s, 224 x 224':<38}{'ImageDataGenerator':>20}{'ours':>8}{'ratio':>8}")
    for name, ranges in CASES.items():
        theirs, ours = compare(pixels, ranges)
        print(f"{name:<38}{theirs:>20.0f}{ours:>8.0f}{ours / theirs:>8.1f}")


if __name__ == "__main__":
    main()
