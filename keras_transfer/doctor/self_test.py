"""A small training, its export, and predictions of the export."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.doctor.finding import Finding, ok, problem

__all__ = ["check_training"]

logger = logging.getLogger("keras_transfer")

IMAGES, SIZE = 64, 16

SETTINGS: dict[str, Any] = {
    "data": "arrays",
    "backbone": "convnet_small",
    "weights": "none",
    "image_size": SIZE,
    "batch_size": 8,
    "split": {"val": 0.25, "test": 0.25},
    "head": {"dropout": 0.0},
    "stages": [{"name": "all", "epochs": 8, "unfreeze": "all", "learning_rate": 1e-2}],
}
"""Of the training."""


def check_training() -> Iterator[Finding]:
    """Train on images that are easy to tell apart, export, and compare the export's answers."""
    from keras_transfer.exports import export
    from keras_transfer.quiet import import_tensorflow
    from keras_transfer.workflows.finetune import Classify

    import_tensorflow()
    began, images = time.perf_counter(), _images()
    with tempfile.TemporaryDirectory() as folder, _settings(Path(folder)):
        run = Classify(**SETTINGS).run(images, out=Path(folder) / "run", name="doctor")
        export(run, data=images)  # which compares the answers of its files with those of the model
        accuracy = run.metrics["test"]["accuracy"]
    text = f"trained, exported and predicted in {time.perf_counter() - began:.0f} s"
    if accuracy < 0.9:
        found = f"{text}, but only {accuracy:.0%} of trivial images are right"
        yield problem("self-test", found, "Reinstall TensorFlow; report the output of --json.")
    else:
        yield ok("self-test", text)


def _images() -> tuple[np.ndarray, np.ndarray]:
    """(n, size, size, 3) uint8 noise, dark or bright, and the labels."""
    labels = np.arange(IMAGES) % 2
    noise = np.random.default_rng(0).integers(0, 100, (IMAGES, SIZE, SIZE, 3))
    return (noise + 155 * labels[:, None, None, None]).astype("uint8"), labels


@contextmanager
def _settings(folder: Path) -> Iterator[None]:
    """Quiet, without a report, and with an empty cache that does not stay."""
    before, level = dict(os.environ), logger.level
    os.environ.update(KT_CACHE_DIR=str(folder / "cache"), KT_REPORT="0")
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        os.environ.clear()
        os.environ.update(before)
