"""A ``.keras`` file for scripts: pixels of the right size in, probabilities out."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.exports.formats import PredictFunction, Source

__all__ = ["load_predictor", "with_probabilities", "write"]

FILE = "model.keras"


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``model.keras``; it loads without this package."""
    with_probabilities(source.model).save(folder / FILE)


def with_probabilities(model: keras.Model) -> keras.Model:
    """Put the softmax on a model that gives logits."""
    softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
    ((pixels,), (logits,)) = (model.inputs, model.outputs)
    return keras.Model(pixels, softmax(logits), name="classifier")


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back; images become pixels as in training.

    Raises:
        BadData: It cannot be loaded.
    """
    try:
        model = keras.models.load_model(folder / FILE, compile=False)
    except (OSError, ValueError) as error:
        raise BadData(f"{folder / FILE} cannot be loaded: {error}") from None

    def probabilities(samples: Samples) -> np.ndarray:
        pixels = plain_batches(samples, loading).map(lambda batch: batch["pixels"])
        return model.predict(pixels, verbose=0)

    return probabilities
