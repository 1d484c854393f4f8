"""Soft labels: what is seen of an image is what its label and its weight say."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_transfer.data.batches import training_batches
from keras_transfer.data.mixing import Mixing
from keras_transfer.data.samples import Samples
from keras_transfer.features.batches import training_features
from keras_transfer.features.store import Table

N = 8


class Plain:
    """A store whose image number i is i everywhere."""

    def decode(self, row):
        return tf.fill([12, 12, 3], tf.cast(row, tf.uint8))


def each_its_own_class(weights=None):
    """Image i is of class i: shares times 0..7 then say which grey a mixture has."""
    weights = np.ones(N) if weights is None else weights
    names = [str(i) for i in range(N)]
    return Samples.of(Plain(), names, names, np.arange(N), weights=weights)


def key(*numbers):
    return tf.constant(numbers, tf.int32)


def mixed(mixing, seed=(1, 2), epoch=0, shape=(12, 12, 3), n=N):
    """A batch whose input i is i everywhere, of class i, and weighs i + 1."""
    inputs = np.broadcast_to(
        np.arange(n, dtype="float32").reshape(-1, *len(shape) * [1]), (n, *shape)
    )
    labels, weights = tf.range(n), tf.range(1, n + 1, dtype=tf.float32)
    found = mixing(tf.constant(inputs), labels, weights, key(*seed), tf.constant(epoch, tf.int64))
    return [one.numpy() for one in found]


def test_smoothing_divides_its_share_evenly():
    """0.2 over four classes: 0.05 each, and 0.8 for the true one."""
    inputs, shares, weights = mixed(Mixing(4, label_smoothing=0.2), n=2)

    assert shares == pytest.approx(np.array([[0.85, 0.05, 0.05, 0.05], [0.05, 0.85, 0.05, 0.05]]))
    assert inputs[:, 0, 0, 0].tolist() == [0, 1]
    assert weights.tolist() == [1, 2]


def test_a_smoothed_label_weighs_by_its_shares():
    """Of weights 1 and 3, with 0.2 smoothed: 0.9 + 0.3 and 0.1 + 2.7."""
    assert Mixing(2, label_smoothing=0.2).class_weights(np.float32([1, 3])) == pytest.approx(
        [1.2, 2.8]
    )
    assert Mixing(2, mixup=1.0).class_weights(np.float32([1, 3])).tolist() == [1, 3]


@pytest.mark.parametrize("shape", [(12, 12, 3), (5,), (3, 3, 7)])
def test_mixup_blends_inputs_labels_and_weights_alike(shape):
    inputs, shares, weights = mixed(Mixing(N, mixup=0.8), shape=shape)

    assert shares.sum(axis=1) == pytest.approx(np.ones(N))
    assert (shares > 0).sum(axis=1).max() == 2
    seen = inputs.reshape(N, -1)
    assert np.ptp(seen, axis=1) == pytest.approx(np.zeros(N), abs=1e-5)
    assert seen[:, 0] == pytest.approx(shares @ np.arange(N), abs=1e-4)
    assert weights == pytest.approx(shares @ np.arange(1, N + 1), abs=1e-4)


def test_cutmix_pastes_a_rectangle_as_large_as_the_label_says():
    """To the pixel: the mean grey of an image is that of its shares."""
    pixels, shares, weights = mixed(Mixing(N, cutmix=1.0))

    assert pixels.mean(axis=(1, 2, 3)) == pytest.approx(shares @ np.arange(N), abs=1e-4)
    assert weights == pytest.approx(shares @ np.arange(1, N + 1), abs=1e-4)
    for number, image in enumerate(pixels):
        pasted = np.argwhere(image[..., 0] != number)
        if len(pasted):
            assert np.prod(np.ptp(pasted, axis=0) + 1) == len(pasted)
            assert len(np.unique(image)) == 2
    assert any(len(np.unique(image)) == 2 for image in pixels)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0])
def test_proportions_come_from_the_papers_beta_distribution(alpha):
    """In bins: of alpha 0.05, a fifth of all proportions are 1 in float32."""
    _, shares, _ = mixed(Mixing(2000, mixup=alpha), shape=(1,), n=2000)
    edges = [0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0001]

    counts, _ = np.histogram(np.diag(shares), edges)

    expected = 2000 * np.diff(stats.beta(alpha, alpha).cdf(np.minimum(edges, 1)))
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_where_both_are_on_a_batch_takes_one_of_them():
    both = Mixing(N, mixup=1.0, cutmix=1.0)
    flat = [np.ptp(mixed(both, (5, s))[0], axis=(1, 2, 3)).max() < 1e-4 for s in range(40)]
    assert 8 <= sum(flat) <= 32  # of 40 even draws; less than 1 in 10,000 lie outside


def test_mixing_ends_with_its_last_epoch():
    mixing = Mixing(N, mixup=1.0, off_epoch=2, label_smoothing=0.2)

    for epoch, blended in ((0, True), (1, True), (2, False), (3, False)):
        inputs, shares, weights = mixed(mixing, epoch=epoch)
        assert (inputs[:, 0, 0, 0] != np.arange(N)).any() == blended
        assert ((shares > 0.1).sum(axis=1).max() == 2) == blended
    assert shares[0] == pytest.approx([0.825, *[0.025] * 7])
    assert weights.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "settings", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]
)
def test_in_a_graph_of_unknown_batch_size_as_eagerly(settings):
    mixing = Mixing(N, **settings, off_epoch=1)
    eagerly = mixed(mixing, (3, 4))
    table = (mixed(Mixing(N))[0], np.arange(N, dtype="int32"), np.arange(1, N + 1, dtype="float32"))
    batches = tf.data.Dataset.from_tensor_slices(table).batch(N)

    made = batches.map(lambda *batch: mixing(*batch, key(3, 4), tf.constant(0, tf.int64)))

    assert [one.shape.as_list() for one in made.element_spec] == [
        [None, 12, 12, 3],
        [None, N],
        [None],
    ]
    for one, other in zip(next(iter(made)), eagerly, strict=True):
        assert one.numpy() == pytest.approx(other, abs=1e-5)
    assert not np.allclose(mixed(mixing, (3, 5))[0], eagerly[0])


def test_under_mixed_precision_pixels_stay_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = mixed(Mixing(N, mixup=0.5))
    finally:
        keras.config.set_dtype_policy("float32")
    for one, other in zip(half, mixed(Mixing(N, mixup=0.5)), strict=True):
        np.testing.assert_array_equal(one, other)


class TestBatches:
    mixing = Mixing(N, mixup=0.6, label_smoothing=0.1, off_epoch=2)
    more = {"epochs": 3, "seeds": (5, 6), "mix": mixing}
    loading = loading(12, batch_size=4)

    def found(self, batches):
        return [[one.numpy() for one in batch] for batch in batches]

    def test_a_weight_is_the_sum_over_the_label(self):
        """Class weights that differ, images of weight 1: weight = sum of y_i w_i."""
        by_class = np.linspace(0.5, 4, N).astype("float32")
        weights = self.mixing.class_weights(by_class)
        batches = training_batches(
            each_its_own_class(), self.loading, class_weights=weights, **self.more
        )
        for _, labels, weight in self.found(batches):
            assert weight == pytest.approx(labels @ by_class, rel=1e-4)

    def test_an_images_own_weight_multiplies_its_part(self):
        """Nothing smoothed: (share of a) * own * class weight of a, and so of b."""
        own, by_class = np.arange(1.0, N + 1), np.linspace(0.5, 4, N).astype("float32")
        batches = training_batches(
            each_its_own_class(own),
            self.loading,
            epochs=1,
            class_weights=by_class,
            mix=Mixing(N, mixup=0.6),
        )
        for _, labels, weight in self.found(batches):
            assert weight == pytest.approx(labels @ (own * by_class), rel=1e-4)

    def test_a_later_epoch_does_not_depend_on_those_before_it(self):
        whole = self.found(training_batches(each_its_own_class(), self.loading, **self.more))
        for first in (1, 2):
            again = training_batches(
                each_its_own_class(), self.loading, first_epoch=first, **self.more
            )
            for one, other in zip(whole[2 * first :], self.found(again), strict=True):
                for a, b in zip(one, other, strict=True):
                    np.testing.assert_array_equal(a, b)
        assert not np.array_equal(whole[0][1], whole[2][1])

    def test_features_are_mixed_as_pixels_are(self):
        """Of image i the feature is i, as its pixels are."""
        features = Table([np.arange(N, dtype="float32")[:, None]], np.zeros(N, int), np.arange(N))
        pixels = self.found(training_batches(each_its_own_class(), self.loading, **self.more))
        stored = training_features([features], each_its_own_class(), self.loading, **self.more)
        for one, other in zip(pixels, self.found(stored), strict=True):
            assert other[0][:, 0] == pytest.approx(one[0][:, 0, 0, 0], abs=1e-4)
            np.testing.assert_array_equal(other[1], one[1])
            np.testing.assert_array_equal(other[2], one[2])


def test_validation_has_plain_labels():
    batches = tf.data.Dataset.from_tensors((tf.zeros([2, 1]), tf.constant([2, 0]), tf.ones(2)))
    ((_, labels, weights),) = Mixing(3, label_smoothing=0.3).judged(batches)
    assert labels.numpy().tolist() == [[0, 0, 1], [1, 0, 0]]
    assert weights.numpy().tolist() == [1, 1]
