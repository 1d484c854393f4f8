"""The loss of pairs: numbers by hand and by loops, batches that lack a sort of pair."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_transfer.methods.graph.similarity import PairSimilarity

rows = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        arrays("float32", n, elements=st.sampled_from([0, 1, 2])),
        arrays("float32", (n, 3), elements=st.floats(-4, 4, width=16)),
    )
)


def losses(classes, embeddings):
    loss = PairSimilarity(reduction=None)
    return np.array(loss(np.float32(classes)[:, None], np.float32(embeddings)))


def by_loops(classes, embeddings):
    unit = [row / max(np.linalg.norm(row), 1e-6) for row in np.float64(embeddings)]
    found = []
    for i in range(len(unit)):
        same, other = [], []
        for j in range(len(unit)):
            cosine = unit[i] @ unit[j]
            if classes[i] != classes[j]:
                other.append(cosine**2)
            elif i != j:
                same.append((cosine - 1) ** 2)
        means = [np.mean(pairs) for pairs in (same, other) if pairs]
        found.append(np.mean(means) if means else 0)
    return found


def test_three_rows_by_hand():
    """Cosines: 0.6 of the first two, which are of one class; 0 and 0.8 with the third."""
    found = losses([5, 5, 2], [[2, 0], [3, 4], [0, 0.1]])

    # First: (0.4^2 + 0^2) / 2; second: (0.4^2 + 0.8^2) / 2; third has no pair of its class.
    np.testing.assert_allclose(found, [0.08, 0.4, 0.32], atol=1e-6)


@given(rows)
def test_loops_give_the_same(batch):
    np.testing.assert_allclose(losses(*batch), by_loops(*batch), atol=1e-5)


@given(rows, st.floats(0.5, 8))
def test_neither_order_nor_length_matters(batch, factor):
    classes, embeddings = batch
    order = np.random.default_rng(0).permutation(len(classes))
    found = losses(classes[order], factor * embeddings[order])

    np.testing.assert_allclose(found, losses(classes, embeddings)[order], atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("several", [True, False])
def test_a_graph_of_any_batch_size_has_a_finite_gradient(n, several):
    """Also for a batch of one example, of one class, and with a row of zeros."""
    classes = np.arange(n)[:, None] % 2 * float(several)
    embeddings = np.random.default_rng(0).normal(size=(n, 4)).astype("float32")
    embeddings[0] = 0
    loss = PairSimilarity()

    @tf.function(input_signature=[tf.TensorSpec((None, 1)), tf.TensorSpec((None, 4))])
    def graph(y_true, y_pred):
        value = loss(y_true, y_pred)
        return value, tf.gradients(value, y_pred)[0]

    value, gradient = graph(classes.astype("float32"), embeddings)

    assert float(value) == pytest.approx(np.mean(by_loops(classes.ravel(), embeddings)), abs=1e-5)
    assert np.isfinite(gradient).all()


def test_it_is_saved_with_a_model():
    config = keras.losses.serialize(PairSimilarity())

    assert isinstance(keras.losses.deserialize(config), PairSimilarity)
