"""Labels of words: encoding, loss and metrics by hand, eagerly and in graphs of unknown shapes."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.evaluation.entities import count_entities
from keras_transfer.objectives.graph.tokens import EntityF1, TokenAccuracy, TokenCrossentropy
from keras_transfer.objectives.table import read_objective
from keras_transfer.objectives.tokens import TokenClassification

NAMES = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
CELLS = {"label": ["B-PER I-PER O", "O", "O B-LOC"]}


def test_encoding():
    labels = TokenClassification().encode(CELLS)
    assert labels.names == NAMES
    assert labels.values.tolist() == [[3, 4, 0], [0, -1, -1], [0, 1, -1]]
    assert read_objective("tokens") == TokenClassification()


def test_strata_are_combinations_of_types():
    cells = {"label": [*["B-PER"] * 3, *["O B-LOC"] * 3, *["O"] * 3]}
    strata, names = TokenClassification().strata(TokenClassification().encode(cells))
    assert [names[row] for row in strata] == [*["PER"] * 3, *["LOC"] * 3, *["(no label)"] * 3]


def test_labels_of_other_data():
    labels = TokenClassification().encode({"label": ["O B-LOC"]}, names=NAMES)
    assert labels.values.tolist() == [[0, 1]]
    with pytest.raises(BadData, match=r"does not know.*LOK.*Did you mean 'LOC'"):
        TokenClassification().encode({"label": ["B-LOK"]}, names=NAMES)
    with pytest.raises(BadData, match="No word has another label than O"):
        TokenClassification().encode({"label": ["O O"]})
    with pytest.raises(BadData, match="1 of 2 examples have no labels in the column label"):
        TokenClassification().encode({"label": ["O B-PER", " "]})
    with pytest.raises(BadConfiguration, match="reads one column"):
        TokenClassification().encode({"a": ["O"], "b": ["O"]})


def test_targets_count_further_parts_of_words_in_the_loss():
    # [CLS] U . S . is [SEP]: B-LOC, three parts that continue it, O.
    values = np.array([[-1, 1, -2 - 2, -2 - 2, -2 - 2, 0, -1]])
    targets, weights = TokenClassification().targets(values)
    assert targets.tolist() == [[-1, 1, 2, 2, 2, 0, -1]]
    assert weights.tolist() == [1]


LOGITS = np.log(
    np.array(
        [
            [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]],
            [[0.9, 0.05, 0.05], [0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3]],
        ]
    )
).astype("float32")
# Four places for three tokens: the fourth was cut off.
LABELS = np.array([[-1, 1, 2, 1], [0, -1, -1, -1]], "int32")
LOSSES = [-np.log(0.8) - np.log(0.6), -np.log(0.9)]


def in_both(function):
    """The function eagerly and in a graph of unknown shapes."""
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None, 3])]
    return function, tf.function(function, input_signature=signature)


def test_the_loss_is_that_of_the_words():
    loss = TokenCrossentropy(words=2, reduction=None)
    for compute in in_both(loss):
        np.testing.assert_allclose(compute(LABELS, LOGITS), np.array(LOSSES) / 2, rtol=1e-6)
    again = TokenCrossentropy.from_config(TokenCrossentropy(words=2).get_config())
    assert again.words == 2
    # Weighted by example, and the mean over the batch.
    value = TokenCrossentropy(words=2)(LABELS, LOGITS, sample_weight=np.array([0.0, 3.0]))
    np.testing.assert_allclose(value, 3 * LOSSES[1] / 2 / 2, rtol=1e-6)


def test_what_does_not_count_has_no_gradient():
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        value = TokenCrossentropy(words=1)(LABELS, logits)
    gradient = tape.gradient(value, logits).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[LABELS[:, :3] < 0].any()
    assert (np.abs(gradient[LABELS[:, :3] >= 0]).sum(axis=-1) > 0).all()
    # d/dz of cross-entropy: softmax minus one-hot, divided by the two sentences of the batch.
    np.testing.assert_allclose(gradient[0, 1], np.array([0.1, 0.8 - 1, 0.1]) / 2, atol=1e-6)


def test_padding_changes_neither_loss_nor_metrics():
    wide = np.concatenate([LOGITS, np.full((2, 2, 3), 9.0, "float32")], axis=1)
    labels = np.array([[-1, 1, 2, -1, -1], [0, -1, -1, -1, -1]], "int32")
    short, long = TokenCrossentropy()(labels, LOGITS), TokenCrossentropy()(labels, wide)
    np.testing.assert_allclose(short, long, rtol=1e-6)


def test_the_loss_divides_by_the_mean_number_of_words():
    labels = TokenClassification().encode(CELLS)
    assert TokenClassification().loss(labels).words == 2  # 3, 1 and 2


def metric_of(metric, weights=None):
    def compute(labels, logits):
        metric.reset_state()
        metric.update_state(labels, logits, weights)
        return metric.result()

    return in_both(compute)


def test_accuracy_of_an_epoch():
    # Right: B at the second place, I at the third, O in the second sentence.
    for compute in metric_of(TokenAccuracy()):
        assert compute(LABELS, LOGITS) == 1
    wrong = np.array([[-1, 0, 2, 1], [0, -1, -1, -1]], "int32")
    for compute in metric_of(TokenAccuracy()):
        np.testing.assert_allclose(compute(wrong, LOGITS), 2 / 3)
    for compute in metric_of(TokenAccuracy(), np.array([1.0, 0.0])):
        np.testing.assert_allclose(compute(wrong, LOGITS), 1 / 2)


def test_f1_of_an_epoch_counts_as_the_metrics_do():
    rng = np.random.default_rng(0)
    for _ in range(8):
        true = rng.integers(-1, 5, (4, 9)).astype("int32")
        logits = rng.normal(size=(4, 9, 5)).astype("float32")
        keep = rng.random((4, 9)) < 0.6
        logits[keep & (true >= 0)] = 5 * np.eye(5)[true[keep & (true >= 0)]]
        weights = np.array([1.0, 0, 1, 1])
        counted = (true >= 0) & (weights[:, None] > 0)
        rows = np.nonzero(counted)[0]
        found = count_entities(true[counted], logits.argmax(-1)[counted], rows, 4, 2)
        expected = 2 * found.right.sum() / max(found.true.sum() + found.predicted.sum(), 1)
        metric = EntityF1()
        signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None, 5])]
        graph = tf.function(
            lambda y, z, m=metric, w=weights: m.update_state(y, z, w), input_signature=signature
        )
        for update in (lambda y, z, m=metric, w=weights: m.update_state(y, z, w), graph):
            metric.reset_state()
            update(true, logits)
            np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


def test_f1_adds_up_over_batches():
    metric = EntityF1()
    one = np.array([[1, 2, 0]], "int32")
    for logits in (np.eye(3)[[[1, 2, 0]]], np.eye(3)[[[1, 0, 0]]]):
        metric.update_state(one, logits.astype("float32"))
    np.testing.assert_allclose(metric.result(), 0.5)  # two true, two predicted, one right
    metric.update_state(np.full((1, 3), -1, "int32"), np.zeros((1, 3, 3), "float32"))
    np.testing.assert_allclose(metric.result(), 0.5)
