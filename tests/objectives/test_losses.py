"""Losses against numbers worked out by hand, eagerly and in graphs of unknown batch size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import BadData
from keras_transfer.objectives.base import Labels
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.graph.losses import StandardisedError, WeightedBinaryCrossentropy
from keras_transfer.objectives.graph.metrics import MultiLabelAUC
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.regression import Regression

CLASSES = Labels(np.array([0, 1, 2], "int32"), ("a", "b", "c"))
# a: 1 positive of 4, b: 3 of 4.
SETS = Labels(np.array([[1, 1], [0, 1], [0, 1], [0, 0]], "float32"), ("a", "b"))
# Deviations 2 and 10.
NUMBERS = Labels(np.array([[1, 10], [5, 30]], "float32"), ("x", "y"))

LOGITS = np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 3]], "float32")
PAIRS = np.array([[0.0, 2], [-1, 0], [3, 1]], "float32")
SAID = np.array([[1.0, 10], [3, 40], [9, 20]], "float32")
MEANT = np.array([[1.0, 20], [5, 40], [5, -20]], "float32")  # e: 0 1, 1 0, 2 4 deviations


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax_of(true):
    chances = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    return chances[np.arange(3), true]


def binary(true, pos_weight=(1, 1)):
    p = sigmoid(PAIRS)
    return -(np.array(pos_weight) * true * np.log(p) + (1 - true) * np.log(1 - p)).mean(axis=1)


HOT = np.array([[1, 0], [0, 1], [1, 1]], "float32")
SHARES = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [0, 0.5, 0.5]], "float32")
TRUE = np.array([0, 0, 1], "int32")

CASES = {
    "classes": (Classification().loss(CLASSES), TRUE, LOGITS, -np.log(softmax_of(TRUE))),
    "shares": (
        Classification().loss(CLASSES, soft=True),
        SHARES,
        LOGITS,
        -(SHARES * np.log(np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True))).sum(axis=1),
    ),
    "focal": (
        Classification().loss(CLASSES, focal_gamma=2.0),
        np.eye(3, dtype="float32")[TRUE],
        LOGITS,
        -((1 - softmax_of(TRUE)) ** 2) * np.log(softmax_of(TRUE)),
    ),
    "labels": (MultiLabel().loss(SETS), HOT, PAIRS, binary(HOT)),
    "smooth": (
        MultiLabel(label_smoothing=0.2).loss(SETS),
        HOT,
        PAIRS,
        binary(np.where(HOT > 0, 0.9, 0.1)),
    ),
    # 3 negatives to 1 positive; 1 negative to 3 positives
    "weighted": (
        MultiLabel(imbalance="pos_weight").loss(SETS),
        HOT,
        PAIRS,
        binary(HOT, (3, 1 / 3)),
    ),
    "weighted and smooth": (
        MultiLabel(imbalance="pos_weight", label_smoothing=0.2).loss(SETS),
        HOT,
        PAIRS,
        binary(np.where(HOT > 0, 0.9, 0.1), (3, 1 / 3)),
    ),
    "mse": (Regression().loss(NUMBERS), MEANT, SAID, [1 / 2, 1 / 2, (4 + 16) / 2]),
    "mae": (Regression(error="mae").loss(NUMBERS), MEANT, SAID, [1 / 2, 1 / 2, (2 + 4) / 2]),
    # up to 2 deviations e^2 / 2, beyond 2 (|e| - 1)
    "huber": (
        Regression(error="huber", delta=2).loss(NUMBERS),
        MEANT,
        SAID,
        [1 / 4, 1 / 4, (2 + 6) / 2],
    ),
}
WEIGHTS = np.array([2.0, 1, 0], "float32")


@pytest.mark.parametrize(("loss", "true", "outputs", "wanted"), CASES.values(), ids=CASES)
def test_losses_by_hand_with_weights(loss, true, outputs, wanted):
    """The mean over the batch; an example of weight 0 has no part in the sum."""
    broken = outputs.copy()
    broken[2] = 50  # whatever the network says of the example without weight

    assert float(loss(true, outputs)) == pytest.approx(np.mean(wanted), rel=1e-5)
    weighted = (2 * wanted[0] + wanted[1]) / 3
    assert float(loss(true, outputs, sample_weight=WEIGHTS)) == pytest.approx(weighted, rel=1e-5)
    assert float(loss(true, broken, sample_weight=WEIGHTS)) == pytest.approx(weighted, rel=1e-5)


@pytest.mark.parametrize(("loss", "true", "outputs", "wanted"), CASES.values(), ids=CASES)
def test_losses_in_a_graph_of_unknown_batch_size(loss, true, outputs, wanted):
    specs = [
        tf.TensorSpec([None, *true.shape[1:]], true.dtype),
        tf.TensorSpec([None, outputs.shape[1]]),
        tf.TensorSpec([None]),
    ]

    def call(y, z, w):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(y, z, sample_weight=w)
        return value, tape.gradient(value, z)

    value, gradient = tf.function(call, input_signature=specs)(true, outputs, WEIGHTS)

    assert float(value) == pytest.approx((2 * wanted[0] + wanted[1]) / 3, rel=1e-5)
    assert np.isfinite(gradient).all()
    assert not np.any(gradient[2])


@pytest.mark.parametrize("name", ["classes", "labels", "weighted", "mse", "mae", "huber"])
def test_losses_are_restored_from_their_settings(name):
    loss, true, outputs, wanted = CASES[name]
    back = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(back) is type(loss)
    assert float(back(true, outputs)) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_extreme_logits_are_finite():
    logits = np.array([[1000.0, -1000]], "float32")
    for imbalance in ("none", "pos_weight"):
        loss = MultiLabel(imbalance=imbalance).loss(SETS)
        assert float(loss(np.array([[1.0, 0]]), logits)) == 0
        assert np.isfinite(float(loss(np.array([[0.0, 1]]), logits)))


def test_half_precision_outputs_are_computed_in_float32():
    for name in ("weighted", "mse"):
        loss, true, outputs, wanted = CASES[name]
        found = loss(true, tf.cast(outputs, tf.bfloat16))
        assert found.dtype == tf.float32
        assert float(found) == pytest.approx(np.mean(wanted), rel=1e-3)


@pytest.mark.parametrize(
    "loss", [StandardisedError([2.0]), WeightedBinaryCrossentropy([1.0])], ids=["error", "labels"]
)
def test_labels_without_the_last_axis_are_not_spread_over_the_batch(loss):
    true, said = np.array([1.0, 0, 1]), np.array([[0.3], [-1], [2]])
    assert float(loss(true, said)) == pytest.approx(float(loss(true[:, None], said)))


def test_pos_weight_is_bounded_and_counts_known_examples():
    values = np.zeros((1001, 2), "float32")
    values[0, 0] = 1
    values[:-1, 1] = 1
    values[-1] = np.nan  # label b is positive wherever it is known

    assert MultiLabel().pos_weight(Labels(values, ("a", "b"))).tolist() == [100, 0.01]


def test_a_label_without_positives_cannot_be_balanced():
    train = Labels(np.array([[1, 0], [0, 0]], "float32"), ("a", "b"))
    with pytest.raises(BadData, match="without training examples:\n  b"):
        MultiLabel(imbalance="pos_weight").loss(train)
    MultiLabel().loss(train)  # has nothing to balance


@pytest.mark.parametrize("error", ["mse", "mae", "huber"])
def test_gradients_are_those_of_standardised_targets(error):
    """A network with its units behind the last layer learns as one on (t - mean) / std."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(32, 2)) * [3, 500] + [10, -2000]).astype("float32")
    train = Labels(values, ("x", "y"))
    x = rng.normal(size=(32, 5)).astype("float32")
    objective = Regression(error=error)
    inputs = keras.Input((5,))
    z = keras.layers.Dense(2)(inputs)
    model = keras.Model(inputs, objective.output(train)(z))
    plain = keras.Model(inputs, z)
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    theirs = {"mse": "MeanSquaredError", "mae": "MeanAbsoluteError", "huber": "Huber"}[error]

    def gradients(network, loss, targets):
        with tf.GradientTape() as tape:
            value = loss(targets, network(x))
        return value, tape.gradient(value, network.trainable_variables)

    ours = gradients(model, objective.loss(train), values)
    wanted = gradients(plain, getattr(keras.losses, theirs)(), standard)

    assert float(ours[0]) == pytest.approx(float(wanted[0]), rel=1e-4)
    for one, other in zip(ours[1], wanted[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


TASKS = {
    "classification": (Classification(), CLASSES, TRUE),
    "multilabel": (MultiLabel(), SETS, HOT),
    "pos_weight": (MultiLabel(imbalance="pos_weight"), SETS, HOT),
    "regression": (Regression(), NUMBERS, MEANT),
}


@pytest.mark.parametrize(("objective", "train", "true"), TASKS.values(), ids=TASKS)
def test_a_compiled_model_trains_and_is_saved_and_loaded(objective, train, true, tmp_path):
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(objective.units(train.names), dtype="float32")(inputs)
    behind = objective.output(train)
    model = keras.Model(inputs, outputs if behind is None else behind(outputs))
    metrics = objective.training_metrics(train.names)
    model.compile("adam", loss=objective.loss(train), weighted_metrics=metrics)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((x, true, WEIGHTS)).batch(2)

    history = model.fit(batches, validation_data=batches, verbose=0).history
    model.save(tmp_path / "m.keras")
    back = keras.models.load_model(tmp_path / "m.keras")

    assert set(objective.monitors) <= set(history)
    np.testing.assert_allclose(
        back.evaluate(batches, verbose=0), model.evaluate(batches, verbose=0)
    )
    np.testing.assert_array_equal(back(x), model(x))


def test_the_metric_of_an_epoch_is_in_the_units_of_the_data():
    model = keras.Sequential([keras.Input((2,)), Regression().output(NUMBERS)])
    metrics = Regression().training_metrics(NUMBERS.names)
    model.compile(loss=Regression().loss(NUMBERS), weighted_metrics=metrics)
    x = np.array([[0.0, 0], [1, 1]], "float32")  # means 3 and 20; one deviation more 5 and 30

    found = model.evaluate(x, np.array([[4.0, 20], [5, 40]]), verbose=0, return_dict=True)

    assert found["mae"] == pytest.approx((1 + 0 + 0 + 10) / 4)
    assert found["loss"] == pytest.approx((0.25 + 0 + 0 + 1) / 4)


def test_rescaled_outputs_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((2,))
        said = Regression().output(NUMBERS)(keras.layers.Dense(2, dtype="float32")(inputs))
    finally:
        keras.config.set_dtype_policy("float32")
    assert said.dtype == "float32"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 5], [2, 5]], "The target y is 5 in all 2 examples"),
        ([[1, 1_700_000_000], [2, 1_700_000_500]], "The target y varies by 256 around"),
        ([[np.nan, np.nan]], "No example of the train split has known targets"),
    ],
)
def test_targets_that_cannot_be_standardised_are_refused(values, message):
    train = Labels(np.array(values, "float32"), ("x", "y"))
    for call in (Regression().loss, Regression().output):
        with pytest.raises(BadData, match=message):
            call(train)


def test_moments_are_those_of_known_examples():
    values = np.array([[1], [np.nan], [5]], "float32")
    mean, std = Regression().moments(Labels(values, ("x",)))
    assert (mean.tolist(), std.tolist()) == ([3], [2])


@pytest.mark.parametrize(
    ("objective", "outputs", "wanted"),
    [
        (Classification(), LOGITS, np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)),
        (MultiLabel(), PAIRS, sigmoid(PAIRS)),
        (Regression(), SAID, SAID),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scores_are_float32_in_a_graph(objective, outputs, wanted, dtype):
    spec = tf.TensorSpec([None, outputs.shape[1]], dtype)
    found = tf.function(objective.scores, input_signature=[spec])(tf.cast(outputs, dtype))

    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype == "float32" else 1e-2)


def test_the_metric_of_labels_takes_logits_and_mixed_labels():
    """Both rankings are perfect, so each area is 1: a share of 0.3 below a 0 is no positive."""
    metric = MultiLabelAUC(2)
    metric.update_state([[0.7, 0.3], [0.0, 1.0], [0, 0]], [[2.0, -3], [-1, 4], [-2, 0]])
    assert float(metric.result()) == pytest.approx(1)
    metric.update_state([[1.0, 0.0]], [[-9.0, 9]], sample_weight=[0.0])
    assert float(metric.result()) == pytest.approx(1)
    back = MultiLabelAUC.from_config(metric.get_config())
    assert (back.labels, back.name) == (2, "pr_auc")
