"""SavedModel for TensorFlow Serving: raw bytes of images in, names and probabilities out."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_transfer.data import tiff
from keras_transfer.data.batches import Loading
from keras_transfer.data.files import Files
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.exports.formats import PredictFunction, Source
from keras_transfer.exports.serving_module import ServingModule

__all__ = ["load_predictor", "warmup_log", "write"]

CLASSIFY = "tensorflow/serving/classify"
WARMUP = Path("assets.extra", "tf_serving_warmup_requests")


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``saved_model.pb``, ``variables/``, ``assets/`` and ``assets.extra/``.

    Raises:
        OSError: The disk is full, or cannot be written to.
    """
    with tempfile.TemporaryDirectory() as assets:
        served = ServingModule(source, Path(assets))
        try:
            tf.saved_model.save(served, str(folder), signatures=served.signatures())
        except tf.errors.ResourceExhaustedError as error:  # TensorFlow's word for a full disk
            raise OSError(errno.ENOSPC, str(error)) from None
    _name_method(folder / "saved_model.pb", "classify", CLASSIFY)
    _write_warmup(folder / WARMUP, source)


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back: files are sent as bytes, other images as pixels.

    Raises:
        BadData: It cannot be loaded.
    """
    try:
        loaded = tf.saved_model.load(str(folder))  # must live as long as its signatures
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise BadData(f"The export in {folder} cannot be loaded: {error}") from None

    def scores(samples: Samples) -> np.ndarray:
        ask = loaded.signatures
        if isinstance(samples.store, Files):
            found = [ask["serving_default"](image_bytes=one) for one in _contents(samples, loading)]
        else:
            found = [ask["predict_pixels"](pixels=one) for one in _pixels(samples)]
        return np.concatenate([one["scores"].numpy() for one in found])

    return scores


def _contents(samples: Samples, loading: Loading) -> Iterator[tf.Tensor]:
    rows = samples.rows.tolist()
    for start in range(0, len(rows), loading.batch_size):
        some = rows[start : start + loading.batch_size]
        yield tf.constant([tiff.readable(samples.store.read(row)) for row in some])


def _pixels(samples: Samples) -> Iterator[tf.Tensor]:
    """One by one: their sizes may differ."""
    decoded = tf.data.Dataset.from_tensor_slices(samples.rows).map(samples.store.decode)
    return iter(decoded.batch(1).prefetch(4))


def _name_method(file: Path, signature: str, method: str) -> None:
    """Say which API a signature is for; ``tf.saved_model.save`` says "predict" of all of them."""
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in document.meta_graphs:
        graph.signature_def[signature].method_name = method
    file.write_bytes(document.SerializeToString(deterministic=True))


def _write_warmup(file: Path, source: Source) -> None:
    """Requests that a server runs before it says that it is ready: one image, and eight."""
    rng = np.random.default_rng(0)
    size = source.loading.size
    noise = rng.integers(0, 256, (size, size, 3), "uint8")
    image = tf.io.encode_jpeg(noise).numpy()
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for count in (1, 8):
            writer.write(warmup_log(source.name, count * [image]))


def warmup_log(name: str, images: Iterable[bytes]) -> bytes:
    """Serialize a ``tensorflow.serving.PredictionLog`` of a request to ``serving_default``.

    Its classes are in tensorflow-serving-api, which nobody else here needs; the numbers are those
    of its fields (``predict_log = 6``, ``request = 1``; ``model_spec = 1``, ``inputs = 2``;
    ``name = 1``, ``signature_name = 3``), which protocol buffers never change.
    """
    tensor = tf.make_tensor_proto(list(images)).SerializeToString()
    spec = _field(1, name.encode()) + _field(3, b"serving_default")
    entry = _field(1, b"image_bytes") + _field(2, tensor)
    return _field(6, _field(1, _field(1, spec) + _field(2, entry)))


def _field(number: int, content: bytes) -> bytes:
    """A field of the wire format that is preceded by its length."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
