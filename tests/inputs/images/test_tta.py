"""Test-time augmentation: which views there are, and that their answers are averaged."""

import numpy as np
import pytest
import tensorflow as tf
from images import loading

from keras_transfer.data.batches import plain_batches
from keras_transfer.data.samples import CheckResult, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.inputs.images.tta import views
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.outputs import Output
from keras_transfer.runs import Predictor

LOADING = loading(4, batch_size=2)
SHIFTED = loading(4, batch_size=2, width_shift_range=0.5, fill_mode="wrap")


class Half:
    """Image number i: 50 * (i + 1) in its left half, 0 in its right one."""

    def read(self, row):
        bright = tf.cast(50 * (row + 1), tf.uint8)
        return tf.tile(tf.stack([bright, bright, 0, 0])[None, :, None], [4, 1, 3])

    def check(self, row, judge):
        return CheckResult(f"digest {row}")

    def stamp(self, row):
        return None


def samples(n=3):
    return Samples.of(Half(), ["dark", "bright"], [str(i) for i in range(n)], [0, 1, 1][:n])


def pixels(table):
    return np.concatenate([batch["pixels"].numpy() for batch in plain_batches(table, LOADING)])


class Left(Predictor):
    """Takes the brightness of the left half, over 255, for the probability of the second class."""

    outputs = {"label": Output(Classification(), ("dark", "bright"))}
    settings = {"input": {"augment": {}}, "data": {"source": "half"}}
    loading = LOADING
    split = None

    def __init__(self, folder):
        self.folder = folder

    def scores(self, table):
        bright = pixels(table)[:, :, :2].mean(axis=(1, 2, 3)) / 255
        return {"label": np.stack([1 - bright, bright], 1).astype("float64")}

    def samples(self, splits):
        assert splits == ["test"]
        return samples()


def test_flip_adds_the_mirror_image():
    plain, mirrored = (pixels(one) for one in views(samples(), LOADING, "flip"))

    assert plain[:, 0, :, 0].tolist() == [[50, 50, 0, 0], [100, 100, 0, 0], [150, 150, 0, 0]]
    np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])


def test_a_number_of_views_is_the_runs_own_augmentation_and_the_same_each_time():
    first, *others = [pixels(one) for one in views(samples(), SHIFTED, "5")]
    again = [pixels(one) for one in views(samples(), SHIFTED, 5)]

    np.testing.assert_array_equal(first, pixels(samples()))
    assert len(others) == 4
    assert len({one.tobytes() for one in (first, *others)}) == 5
    for one, other in zip((first, *others), again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_view_is_another_way_to_see_the_same_files():
    changed = views(samples(), LOADING, "flip")[1]
    assert changed.store.check(2, None) == CheckResult("digest 2")
    assert changed.take(np.array([2])).keys.tolist() == ["2"]


def test_probabilities_are_averaged_and_the_plain_metrics_stand_beside(tmp_path):
    """Left halves of 50, 100 and 150 of 255; mirrored 0: half of that on average.

    With a threshold of a half only the third image is bright as it is, and none on average.
    """
    metrics = Left(tmp_path).evaluate(tta="flip")

    text = (tmp_path / "evaluations/1/predictions.csv").read_text().splitlines()
    bright = [float(line.rsplit(",", 1)[1]) for line in text[1:]]
    assert bright == pytest.approx([25 / 255, 50 / 255, 75 / 255])
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert metrics["plain"]["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("asked", "said"),
    [("1", "from 2 to 64"), ("flop", "should be flip"), (65, "from 2 to"), (4, "changed none")],
)
def test_what_makes_no_sense_is_refused_before_images_are_read(tmp_path, asked, said):
    for ask in (Left(tmp_path).predict, Left(tmp_path).evaluate):
        with pytest.raises(BadConfiguration, match=said):
            ask("nowhere", tta=asked)
