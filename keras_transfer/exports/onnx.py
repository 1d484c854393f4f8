"""ONNX for other runtimes: pixels of the right size in, probabilities out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.exports.formats import PredictFunction, Source
from keras_transfer.quiet import silenced

__all__ = ["load_predictor", "write"]

FILE = "model.onnx"
OPSET = 17


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``model.onnx``.

    ``pixels``, (batch, size, size, 3) float32 RGB 0..255, to ``probabilities``, (batch, classes)
    float32; the metadata ``classes`` (JSON, by index), ``image_size`` and ``resize`` are inside.
    """
    import onnx
    import tf2onnx

    size, model = source.loading.input.size, source.model

    @tf.function(autograph=False)
    def forward(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(model({"pixels": pixels}, training=False)["label"])}

    image = tf.TensorSpec([None, size, size, 3], tf.float32, name="pixels")
    with silenced():
        converted, _ = tf2onnx.convert.from_function(forward, [image], opset=OPSET)
    metadata = {
        "classes": json.dumps(source.classes, ensure_ascii=False),
        "image_size": str(size),
        "resize": source.loading.input.resize,
    }
    onnx.helper.set_model_props(converted, metadata)
    onnx.save(converted, folder / FILE)


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back by onnxruntime.

    Raises:
        BadData: It cannot be loaded.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(
            str(folder / FILE), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no other common base
        raise BadData(f"{folder / FILE} cannot be loaded: {error}") from None

    def probabilities(samples: Samples) -> np.ndarray:
        batches = plain_batches(samples, loading).as_numpy_iterator()
        return np.concatenate(
            [session.run(None, {"pixels": batch["pixels"]})[0] for batch in batches]
        )

    return probabilities
