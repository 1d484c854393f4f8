"""Preview of the first training batch as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from keras_transfer.atomic import replacing
from keras_transfer.data.batches import (
    Augmenter,
    Columns,
    Loading,
    Mixer,
    epoch_fold,
    epoch_order,
    plain_batches,
)
from keras_transfer.data.samples import Samples

__all__ = ["first_batch", "write_preview"]

COLUMNS, ROWS, CELL, LINE = 6, 4, 160, 14


def first_batch(
    samples: Samples,
    loading: Loading,
    columns: Columns,
    *,
    seeds: tuple[int, int],
    augment: Augmenter,
    mix: Mixer | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The first batch of ``training_batches``, without the pipeline for the other batches.

    Args:
        samples: The train split.
        loading: Settings of batch loading.
        columns: Targets of the samples; that of the first output is shown.
        seeds: As for ``training_batches``, and so are ``augment`` and ``mix``.
        augment: Augmentation.
        mix: Mixes them, if given.

    Returns:
        (batch, size, size, 3) float32 pixels in [0, 255], and their labels: (batch,) int32 or
        (batch, classes) float32.
    """
    epoch = tf.constant(0, tf.int64)
    order, _, _ = epoch_order(len(samples), loading, seeds[0], epoch)
    places = order.numpy()[: loading.batch_size]
    inputs = next(iter(plain_batches(samples.take(places), loading)))
    own = np.stack([np.full(len(places), epoch_fold(seeds[1], epoch)), places], 1).astype("int32")
    inputs = augment(inputs, tf.constant(own))
    targets = {name: tf.constant(values[places]) for name, values in columns.targets.items()}
    if mix is not None:
        ones = {name: tf.ones(len(places)) for name in targets}
        inputs, targets, _ = mix(inputs, targets, ones, tf.constant(own[0]), epoch)
    (pixels,) = inputs.values()
    return np.asarray(pixels), np.asarray(next(iter(targets.values())))


def write_preview(
    path: Path, pixels: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> None:
    """Write a PNG of some images of a batch, each above its label.

    Args:
        path: The file; an old one is replaced.
        pixels: (batch, size, size, 3) float, 0..255.
        labels: (batch,) int or (batch, classes) float shares.
        classes: Class names in label order.
    """
    shown = pixels[: COLUMNS * ROWS]
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, rows * (CELL + 2 * LINE)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (image, label) in enumerate(zip(shown, labels[: len(shown)], strict=True)):
        x, y = index % COLUMNS * CELL, index // COLUMNS * (CELL + 2 * LINE)
        canvas = np.clip(np.round(image), 0, 255).astype("uint8")
        sheet.paste(Image.fromarray(canvas).resize((CELL - 4, CELL - 4)), (x + 2, y + 2))
        draw.text((x + 3, y + CELL - 1), _caption(label, classes), fill="black")
    with replacing(path) as part:
        sheet.save(part, "PNG", compress_level=1)


def _caption(label: np.ndarray, classes: Sequence[str]) -> str:
    """The class, or the two classes with the largest shares, one line each."""
    if np.ndim(label) == 0:
        return _plain(classes[int(label)])
    best = np.argsort(-label, kind="stable")[:2]
    lines = [f"{label[i]:.2f} {_plain(classes[i])}" for i in best if label[i] > 0]
    return "\n".join(lines)


def _plain(name: str) -> str:
    """Short enough for a cell, and without letters that the font may lack."""
    return name[:22].encode("ascii", "replace").decode()
