"""How the images of a test are read and become batches."""

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Loading
from keras_transfer.inputs.images import decode
from keras_transfer.inputs.images.bound import BoundImage


def loading(size, resize="stretch", batch_size=32, replicas=1, **augment):
    """Squares of a size."""
    return Loading(BoundImage(size, resize, augment), batch_size, replicas)


def image(store, row, size=0, resize="stretch"):
    """Example ``row`` of a store as it is decoded for a square, before it is resized."""
    raw = store.read(row)
    return decode.image(raw, size, resize) if raw.dtype == tf.string else raw


def decoded(store, rows):
    """Read images inside a tf.data graph, as training does."""
    rows = tf.data.Dataset.from_tensor_slices(np.array(rows, "int64"))
    return [found.numpy() for found in rows.map(lambda row: image(store, row))]
