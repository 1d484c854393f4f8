"""Soft labels: what is seen of an image is what its label and its weight say."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from images import loading
from scipy import stats

from keras_transfer.data.batches import label_columns, training_batches
from keras_transfer.data.mixing import Mixing, smoothed, smoothed_weights
from keras_transfer.data.samples import Samples
from keras_transfer.features.batches import training_features
from keras_transfer.features.store import Table

N = 8


class Plain:
    """A store whose image number i is i everywhere."""

    def read(self, row):
        return tf.fill([12, 12, 3], tf.cast(row, tf.uint8))


def each_its_own_class(weights=None):
    """Image i is of class i: shares times 0..7 then say which grey a mixture has."""
    weights = np.ones(N) if weights is None else weights
    names = [str(i) for i in range(N)]
    return Samples.of(Plain(), names, names, np.arange(N), weights=weights)


def mixing_of(classes, label_smoothing=0.0, **settings):
    """Mixing of one target, the number of a class."""
    return Mixing({"label": smoothed(classes, label_smoothing)}, **settings)


def key(*numbers):
    return tf.constant(numbers, tf.int32)


def mixed(mixing, seed=(1, 2), epoch=0, shape=(12, 12, 3), n=N):
    """A batch whose input i is i everywhere, of class i, and weighs i + 1."""
    inputs = np.broadcast_to(
        np.arange(n, dtype="float32").reshape(-1, *len(shape) * [1]), (n, *shape)
    )
    labels, weights = tf.range(n), tf.range(1, n + 1, dtype=tf.float32)
    batch = {"x": tf.constant(inputs)}, {"label": labels}, {"label": weights}
    return arrays(mixing(*batch, key(*seed), tf.constant(epoch, tf.int64)))


def arrays(batch):
    """The only input, target and weight of a batch."""
    return [one.numpy() for one in tf.nest.flatten(batch)]


def test_smoothing_divides_its_share_evenly():
    """0.2 over four classes: 0.05 each, and 0.8 for the true one."""
    inputs, shares, weights = mixed(mixing_of(4, label_smoothing=0.2), n=2)

    assert shares == pytest.approx(np.array([[0.85, 0.05, 0.05, 0.05], [0.05, 0.85, 0.05, 0.05]]))
    assert inputs[:, 0, 0, 0].tolist() == [0, 1]
    assert weights.tolist() == [1, 2]


def test_a_smoothed_label_weighs_by_its_shares():
    """Of weights 1 and 3, with 0.2 smoothed: 0.9 + 0.3 and 0.1 + 2.7."""
    assert smoothed_weights(np.float32([1, 3]), 0.2) == pytest.approx([1.2, 2.8])
    assert smoothed_weights(np.float32([1, 3]), 0.0).tolist() == [1, 3]


@pytest.mark.parametrize("shape", [(12, 12, 3), (5,), (3, 3, 7)])
def test_mixup_blends_inputs_labels_and_weights_alike(shape):
    inputs, shares, weights = mixed(mixing_of(N, mixup=0.8), shape=shape)

    assert shares.sum(axis=1) == pytest.approx(np.ones(N))
    assert (shares > 0).sum(axis=1).max() == 2
    seen = inputs.reshape(N, -1)
    assert np.ptp(seen, axis=1) == pytest.approx(np.zeros(N), abs=1e-5)
    assert seen[:, 0] == pytest.approx(shares @ np.arange(N), abs=1e-4)
    assert weights == pytest.approx(shares @ np.arange(1, N + 1), abs=1e-4)


def test_cutmix_pastes_a_rectangle_as_large_as_the_label_says():
    """To the pixel: the mean grey of an image is that of its shares."""
    pixels, shares, weights = mixed(mixing_of(N, cutmix=1.0))

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
    _, shares, _ = mixed(mixing_of(2000, mixup=alpha), shape=(1,), n=2000)
    edges = [0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0001]

    counts, _ = np.histogram(np.diag(shares), edges)

    expected = 2000 * np.diff(stats.beta(alpha, alpha).cdf(np.minimum(edges, 1)))
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_where_both_are_on_a_batch_takes_one_of_them():
    both = mixing_of(N, mixup=1.0, cutmix=1.0)
    flat = [np.ptp(mixed(both, (5, s))[0], axis=(1, 2, 3)).max() < 1e-4 for s in range(40)]
    assert 8 <= sum(flat) <= 32  # of 40 even draws; less than 1 in 10,000 lie outside


def test_mixing_ends_with_its_last_epoch():
    mixing = mixing_of(N, mixup=1.0, off_epoch=2, label_smoothing=0.2)

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
    mixing = mixing_of(N, **settings, off_epoch=1)
    eagerly = mixed(mixing, (3, 4))
    inputs, _, weights = mixed(mixing_of(N))
    table = {"x": inputs}, {"label": np.arange(N, dtype="int32")}, {"label": weights}
    batches = tf.data.Dataset.from_tensor_slices(table).batch(N)

    made = batches.map(lambda *batch: mixing(*batch, key(3, 4), tf.constant(0, tf.int64)))

    assert [one.shape.as_list() for one in tf.nest.flatten(made.element_spec)] == [
        [None, 12, 12, 3],
        [None, N],
        [None],
    ]
    for one, other in zip(arrays(next(iter(made))), eagerly, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert not np.allclose(mixed(mixing, (3, 5))[0], eagerly[0])


def test_under_mixed_precision_pixels_stay_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = mixed(mixing_of(N, mixup=0.5))
    finally:
        keras.config.set_dtype_policy("float32")
    for one, other in zip(half, mixed(mixing_of(N, mixup=0.5)), strict=True):
        np.testing.assert_array_equal(one, other)


class TestBatches:
    mixing = mixing_of(N, mixup=0.6, label_smoothing=0.1, off_epoch=2)
    more = {"epochs": 3, "seeds": (5, 6), "mix": mixing}
    loading = loading(12, batch_size=4)

    def found(self, batches):
        return [arrays(batch) for batch in batches]

    def drawn(self, class_weights=None, own=None, **more):
        samples = each_its_own_class(own)
        columns = label_columns(samples, class_weights)
        return self.found(training_batches(samples, self.loading, columns, **{**self.more, **more}))

    def test_a_weight_is_the_sum_over_the_label(self):
        """Class weights that differ, images of weight 1: weight = sum of y_i w_i."""
        by_class = np.linspace(0.5, 4, N).astype("float32")
        for _, labels, weight in self.drawn(smoothed_weights(by_class, 0.1)):
            assert weight == pytest.approx(labels @ by_class, rel=1e-4)

    def test_an_images_own_weight_multiplies_its_part(self):
        """Nothing smoothed: (share of a) * own * class weight of a, and so of b."""
        own, by_class = np.arange(1.0, N + 1), np.linspace(0.5, 4, N).astype("float32")
        batches = self.drawn(by_class, own, epochs=1, mix=mixing_of(N, mixup=0.6))
        for _, labels, weight in batches:
            assert weight == pytest.approx(labels @ (own * by_class), rel=1e-4)

    def test_a_later_epoch_does_not_depend_on_those_before_it(self):
        whole = self.drawn()
        for first in (1, 2):
            for one, other in zip(whole[2 * first :], self.drawn(first_epoch=first), strict=True):
                for a, b in zip(one, other, strict=True):
                    np.testing.assert_array_equal(a, b)
        assert not np.array_equal(whole[0][1], whole[2][1])

    def test_features_are_mixed_as_pixels_are(self):
        """Of image i the feature is i, as its pixels are."""
        features = Table([np.arange(N, dtype="float32")[:, None]], np.zeros(N, int), np.arange(N))
        samples = each_its_own_class()
        stored = training_features(
            [features], samples, self.loading, label_columns(samples), **self.more
        )
        for one, other in zip(self.drawn(), self.found(stored), strict=True):
            assert other[0][:, 0] == pytest.approx(one[0][:, 0, 0, 0], abs=1e-4)
            np.testing.assert_array_equal(other[1], one[1])
            np.testing.assert_array_equal(other[2], one[2])
