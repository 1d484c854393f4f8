"""Images in TFRecord files, read in any order: the files are read once for an index."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_transfer.data.files import version
from keras_transfer.data.samples import CheckResult, Judge
from keras_transfer.errors import BadData

__all__ = ["Records", "index"]

# A record is its length (8 bytes), a checksum (4), the data, and a checksum (4):
# https://www.tensorflow.org/tutorials/load_data/tfrecord
_BEFORE, _AROUND = 12, 16


@dataclass(frozen=True, eq=False)
class Records:
    """A store of encoded images, each in a ``tf.train.Example`` in a TFRecord file.

    Attributes:
        paths: The files.
        files: (n,) int32, index into ``paths`` of each record.
        offsets: (n,) int64, where its data begin in the file.
        lengths: (n,) int64, how many bytes these are.
        feature: Name of the feature that holds the image.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    feature: str

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read record number ``row``: a scalar string, the encoded image."""
        record = tf.numpy_function(self._read, [row], tf.string, stateful=False)
        spec = {self.feature: tf.io.FixedLenFeature((), tf.string)}
        example = tf.io.parse_single_example(tf.ensure_shape(record, ()), spec)
        return example[self.feature]

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Read record number ``row`` and have it judged."""
        example = tf.train.Example.FromString(self._read(row))
        content = example.features.feature[self.feature].bytes_list.value[0]
        return judge(content, "")

    def stamp(self, row: int) -> tuple[str, int, int]:
        """Offset and size in bytes of image number ``row``, and the version of its file."""
        path = self.paths[self.files[row]]
        return f"{path}@{self.offsets[row]}", int(self.lengths[row]), version(os.stat(path))

    def _read(self, row: int) -> bytes:
        # Opened for each record: threads must not share a position. Unbuffered: one record only.
        with open(self.paths[self.files[row]], "rb", buffering=0) as file:
            file.seek(self.offsets[row])
            return file.read(self.lengths[row])


def index(paths: Sequence[str], image: str, label: str) -> tuple[Records, np.ndarray]:
    """Read TFRecord files once and index the offset and label of each record.

    Args:
        paths: The files, in the order that the records are to have.
        image: Name of the feature that holds the encoded image.
        label: Name of the feature that holds the label.

    Returns:
        The store, and the (n,) int64 labels of its records.

    Raises:
        BadData: A file is missing or broken.
    """
    lengths, labels = zip(*(_lengths_and_labels(path, label) for path in paths), strict=True)
    counts = [len(sizes) for sizes in lengths]
    records = Records(
        tuple(paths),
        np.repeat(np.arange(len(paths), dtype="int32"), counts),
        np.concatenate(
            [_BEFORE + np.cumsum(sizes + _AROUND) - (sizes + _AROUND) for sizes in lengths]
        ),
        np.concatenate(lengths),
        image,
    )
    return records, np.concatenate(labels)


def _lengths_and_labels(path: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    """(k,) int64 lengths and (k,) int64 labels of the k records in a file."""
    spec = {label: tf.io.FixedLenFeature((), tf.int64)}
    lengths, labels = [np.empty(0, "int64")], [np.empty(0, "int64")]
    try:
        for batch in tf.data.TFRecordDataset(path).batch(1024).prefetch(1):
            lengths.append(tf.strings.length(batch).numpy().astype("int64"))
            labels.append(tf.io.parse_example(batch, spec)[label].numpy())
    except tf.errors.OpError as error:
        # TensorFlow puts names of nodes of its graph into messages.
        cause = re.sub(r"\{\{.*?\}\} | \[Op:.*", "", error.message)
        raise BadData(
            f"{path} is missing or broken ({cause}). Delete its folder, and have the data set "
            "prepared again."
        ) from error
    return np.concatenate(lengths), np.concatenate(labels)
