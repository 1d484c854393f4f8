"""The image of the first batch shows what the training sees first."""

import numpy as np
import pytest
import tensorflow as tf
from images import loading
from PIL import Image

from keras_transfer.data.batches import label_columns, training_batches
from keras_transfer.data.mixing import Mixing, smoothed
from keras_transfer.data.samples import Samples
from keras_transfer.inputs.images.preview import first_batch, write_preview


class Noise:
    def read(self, row):
        pixels = tf.random.stateless_uniform([8, 8, 3], [1, row], 0, 256, tf.int32)
        return tf.cast(pixels, tf.uint8)


@pytest.mark.parametrize("mix", [None, Mixing({"label": smoothed(2, 0.1)}, mixup=0.5)])
def test_it_is_the_first_batch_of_the_training(mix):
    samples = Samples.of(Noise(), ["a", "b"], [str(i) for i in range(10)], np.arange(10) % 2)
    loaded = loading(8, batch_size=4, horizontal_flip=True, color_jitter=0.3)
    given = samples, loaded, label_columns(samples)
    how = {"seeds": (3, 4), "augment": loaded.input.augment, "mix": mix}

    pixels, labels = first_batch(*given, **how)

    inputs, targets, _ = next(iter(training_batches(*given, epochs=1, **how)))
    assert pixels == pytest.approx(inputs["pixels"].numpy(), abs=0.01)
    assert labels == pytest.approx(targets["label"].numpy(), abs=1e-5)


def test_it_is_a_sheet_of_images_with_labels(tmp_path):
    pixels = np.stack([np.full((8, 8, 3), value, "float32") for value in (10, -3, 300)])
    shares = np.array([[1, 0], [0.25, 0.75], [0.5, 0.5]])

    write_preview(tmp_path / "a.png", pixels, shares, ["cat", "dög\n"])
    write_preview(tmp_path / "b.png", pixels, np.array([0, 1, 1]), ["cat", "dog"])

    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.format == "PNG"
        assert [sheet.getpixel((80 + 160 * i, 80)) for i in range(3)] == [
            (10, 10, 10), (0, 0, 0), (255, 255, 255)
        ]  # fmt: skip
        captions = np.asarray(sheet.convert("L"))[160:]
        assert [captions[:, 160 * i : 160 * (i + 1)].min() < 128 for i in range(4)] == [
            True, True, True, False
        ]  # fmt: skip
