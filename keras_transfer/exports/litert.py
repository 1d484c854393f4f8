"""LiteRT (TensorFlow Lite) for phones and boards: pixels of an image in, probabilities out."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.exports.formats import PredictFunction, Source
from keras_transfer.exports.litert_metadata import LABELS, with_metadata
from keras_transfer.quiet import silenced

__all__ = ["load_predictor", "write"]

FILE = "model.tflite"


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``model.tflite`` and ``labels.txt``.

    It takes (1, size, size, 3) RGB pixels, 0..255: float32, or uint8 with int8; and gives (1,
    classes) float32 probabilities. The labels, in the order of the probabilities, are also inside
    the file, as its metadata say (they make it a ZIP archive, too).
    """
    with silenced(), tempfile.TemporaryDirectory() as saved:
        _save(source, saved)
        content = _converter(source, quantize, saved).convert()
    labels = "".join(f"{name}\n" for name in source.classes)
    described = with_metadata(content, source.name, source.loading.input.size)
    (folder / FILE).write_bytes(described + _archive(LABELS, labels, len(described)))
    (folder / LABELS).write_text(labels, encoding="utf-8")


def _save(source: Source, folder: str) -> None:
    """By way of a SavedModel: only so inputs and outputs keep their names."""
    size, model = source.loading.input.size, source.model
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]

    @tf.function(autograph=False)
    def forward(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(model({"pixels": pixels}, training=False)["label"])}

    image = tf.TensorSpec([1, size, size, 3], tf.float32, name="pixels")
    tf.saved_model.save(module, folder, signatures=forward.get_concrete_function(image))


def _converter(source: Source, quantize: str, saved: str) -> tf.lite.TFLiteConverter:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: _one_by_one(source)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
    return converter


def _one_by_one(source: Source) -> Iterator[list[np.ndarray]]:
    for batch in source.representative():
        for image in batch:
            yield [image[np.newaxis]]


def _archive(name: str, text: str, offset: int) -> bytes:
    """A ZIP archive that stands behind so many other bytes."""
    file = io.BytesIO(bytes(offset))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, text)
    return file.getvalue()[offset:]


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back by ``ai_edge_litert``, which needs no TensorFlow.

    Raises:
        BadData: It cannot be loaded.
    """
    from ai_edge_litert.interpreter import Interpreter

    with silenced():
        try:
            interpreter = Interpreter(str(folder / FILE), num_threads=os.cpu_count())
            interpreter.allocate_tensors()
        except (OSError, ValueError, RuntimeError) as error:
            raise BadData(f"{folder / FILE} cannot be loaded: {error}") from None
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()

    def one(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], image[np.newaxis].astype(given["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(wanted["index"])[0]

    def probabilities(samples: Samples) -> np.ndarray:
        batches = plain_batches(samples, loading).as_numpy_iterator()
        return np.array([one(image) for batch in batches for image in batch["pixels"]])

    return probabilities
