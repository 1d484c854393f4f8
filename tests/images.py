"""How the images of a test become batches."""

from keras_transfer.data.batches import Loading
from keras_transfer.inputs.images.bound import BoundImage


def loading(size, resize="stretch", batch_size=32, replicas=1, **augment):
    """Squares of a size."""
    return Loading(BoundImage(size, resize, augment), batch_size, replicas)
