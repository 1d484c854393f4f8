"""SavedModel for TensorFlow Serving: raw bytes of images or texts in, names and scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_transfer.data.batches import Loading
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.exports.formats import PredictFunction
from keras_transfer.exports.reading import counted, joined
from keras_transfer.exports.scratch import scratch
from keras_transfer.exports.serving_module import ServingModule
from keras_transfer.exports.source import Source
from keras_transfer.inputs.images import decode
from keras_transfer.inputs.images.bound import IMAGE_BYTES

__all__ = ["load_predictor", "warmup_log", "write"]

CLASSIFY = "tensorflow/serving/classify"
WARMUP = Path("assets.extra", "tf_serving_warmup_requests")


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``saved_model.pb``, ``variables/``, ``assets/`` and ``assets.extra/``.

    Raises:
        OSError: The disk is full, or cannot be written to.
    """
    with scratch(folder) as assets:
        served = ServingModule(source, assets)
        tf.saved_model.save(served, str(folder), signatures=served.signatures())
    if source.answers.classes is not None:
        _name_method(folder / "saved_model.pb", "classify", CLASSIFY)
    _write_warmup(folder / WARMUP, source)


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back: encoded images and texts are sent as they are, arrays as pixels.

    Raises:
        BadData: It cannot be loaded.
    """
    try:
        loaded = tf.saved_model.load(str(folder))  # must live as long as its signatures
    except Exception as error:  # whatever a broken file makes TensorFlow do
        raise BadData(f"The export in {folder} cannot be loaded: {error}") from None

    def predict(samples: Samples) -> dict[str, np.ndarray]:
        read = tf.data.Dataset.from_tensor_slices(samples.rows).map(samples.store.read)
        encoded = read.element_spec.dtype == tf.string
        ask = loaded.signatures["serving_default" if encoded else "predict_pixels"]
        names = [*loading.input.raw] if encoded else [*ask.structured_input_signature[1]]
        read = read.map(decode.readable) if names == [IMAGE_BYTES] else read
        # Arrays one by one: their sizes may differ.
        batches = read.batch(loading.batch_size if encoded else 1).prefetch(4)
        shown = counted(batches, int(batches.cardinality()))
        return joined(ask(**_named(names, batch)) for batch in shown)

    return predict


def _named(names: Sequence[str], batch: tf.Tensor) -> dict[str, tf.Tensor]:
    """A batch by the name of the input; of several (batch, names) is taken apart."""
    if len(names) == 1:
        return {names[0]: batch}
    return dict(zip(names, tf.unstack(batch, len(names), axis=1), strict=True))


def _name_method(file: Path, signature: str, method: str) -> None:
    """Say which API a signature is for; ``tf.saved_model.save`` says "predict" of all of them."""
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in document.meta_graphs:
        graph.signature_def[signature].method_name = method
    file.write_bytes(document.SerializeToString(deterministic=True))


def _write_warmup(file: Path, source: Source) -> None:
    """Requests that a server runs before it says that it is ready: one example, and eight."""
    example = source.loading.input.example()
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for count in (1, 8):
            inputs = {name: count * [content] for name, content in example.items()}
            writer.write(warmup_log(source.name, inputs))


def warmup_log(name: str, inputs: Mapping[str, Sequence[bytes]]) -> bytes:
    """Serialize a ``tensorflow.serving.PredictionLog`` of a request to ``serving_default``.

    Its classes are in tensorflow-serving-api, which nobody else here needs; the numbers are those
    of its fields (``predict_log = 6``, ``request = 1``; ``model_spec = 1``, ``inputs = 2``;
    ``name = 1``, ``signature_name = 3``), which protocol buffers never change.

    Args:
        name: Of the model.
        inputs: Raw examples, encoded images or texts, by the name of the input.
    """
    request = _field(1, _field(1, name.encode()) + _field(3, b"serving_default"))
    for raw, examples in inputs.items():
        tensor = tf.make_tensor_proto([*examples]).SerializeToString()
        request += _field(2, _field(1, raw.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of the wire format that is preceded by its length."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    # Seven bits a byte, the lowest first; the eighth says that more follow.
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
