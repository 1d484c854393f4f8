"""Terms of a loss: what Keras sums, worked out by hand."""

import keras
import numpy as np
import pytest

from keras_transfer.training.terms import Term, compile_arguments

X = np.float32([[1], [2], [3], [4]])


def model():
    """Outputs 2 x and 3 x."""
    inputs = keras.Input((1,), name="x")
    outputs = {}
    for name, factor in (("double", 2.0), ("triple", 3.0)):
        kernel = keras.initializers.Constant(factor)
        outputs[name] = keras.layers.Dense(
            1, use_bias=False, kernel_initializer=kernel, name=f"{name}_dense"
        )(inputs)
    return keras.Model({"x": inputs}, outputs)


def evaluated(terms, weights, batch_size=4):
    network = model()
    network.compile(keras.optimizers.SGD(0.0), **compile_arguments(terms))
    targets = {"double": np.zeros((4, 1), "float32"), "triple": np.zeros((4, 1), "float32")}
    return network.evaluate(
        {"x": X}, targets, sample_weight=weights, batch_size=batch_size, return_dict=True, verbose=0
    )


def term(output, weight=1.0, metrics=()):
    return Term(output, output, keras.losses.MeanSquaredError(), weight, metrics)


ONES = {"double": np.ones(4, "float32"), "triple": np.ones(4, "float32")}


def test_the_loss_is_the_weighted_sum_of_its_terms():
    """Mean squares are 4 * 7.5 = 30 and 9 * 7.5 = 67.5."""
    found = evaluated([term("double"), term("triple", 0.2)], ONES)

    assert found["loss"] == pytest.approx(30 + 0.2 * 67.5)
    assert found["double_loss"] == pytest.approx(30)
    assert found["triple_loss"] == pytest.approx(67.5)


def test_a_row_without_a_target_counts_in_the_other_terms_only():
    """triple without x = 4: 9 * (1 + 4 + 9) over the batch of four; double keeps all rows."""
    weights = {**ONES, "triple": np.float32([1, 1, 1, 0])}
    found = evaluated([term("double"), term("triple", 0.5)], weights)

    assert found["loss"] == pytest.approx(30 + 0.5 * 9 * 14 / 4)


def test_metrics_are_weighted_as_the_loss_is():
    """Mean absolute errors of the rows that have a target: 3 * (1 + 2 + 3) / 3."""
    weights = {**ONES, "triple": np.float32([1, 1, 1, 0])}
    found = evaluated([term("double"), term("triple", metrics=("mae",))], weights, batch_size=3)

    assert found["triple_mae"] == pytest.approx(6)
    assert "double_mae" not in found


def test_weights_of_1_are_left_to_keras():
    assert compile_arguments([term("double"), term("triple")])["loss_weights"] is None
    assert compile_arguments([term("double"), term("triple", 2.0)])["loss_weights"] == {
        "double": 1.0,
        "triple": 2.0,
    }
