"""Rates by name, against Keras's schedules worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import UnknownName
from keras_transfer.training.optimizers import OPTIMIZERS, build_optimizer


def rates(steps, **settings):
    """Learning rate at each step."""
    optimizer = build_optimizer("sgd", learning_rate=1.0, steps=steps, **settings)
    optimizer.build([keras.Variable(0.0)])
    found = []
    for step in range(steps + 1):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return np.array(found)


def test_cosine_falls_to_zero_by_half_a_cosine():
    assert rates(4, schedule="cosine") == pytest.approx([1, 0.853553, 0.5, 0.146447, 0], abs=1e-6)


def test_warm_up_rises_in_a_line_and_the_rest_is_the_cosine():
    """Two steps up to 1, then (1 + cos(pi t / 4)) / 2 over the four left."""
    found = rates(6, schedule="cosine", warmup_steps=2)
    assert found == pytest.approx([0, 0.5, 1, 0.853553, 0.5, 0.146447, 0], abs=1e-6)


def test_exponential_reaches_the_decay_at_the_end():
    assert rates(2, schedule="exponential", decay=0.01) == pytest.approx([1, 0.1, 0.01])


def test_step_decays_after_half_and_three_quarters():
    found = rates(8, schedule="step", decay=0.1)
    assert found == pytest.approx([1] * 5 + [0.1] * 2 + [0.01] * 2)


def test_one_cycle_rises_from_a_25th_and_falls_to_a_10000th_of_it():
    """Ten steps: three up in a line, seven down by a cosine."""
    found = rates(10, schedule="one_cycle")

    assert found[:4] == pytest.approx([0.04, 0.36, 0.68, 1.0], abs=1e-6)
    assert found[10] == pytest.approx(1e-4, abs=1e-6)
    assert (np.diff(found[3:]) < 0).all()


def test_a_constant_rate_may_be_warmed_up_to():
    assert rates(4, warmup_steps=2) == pytest.approx([0, 0.5, 1, 1, 1])


def test_gradients_are_clipped_together_or_one_by_one():
    """3 and 4 have the norm 5; cut to 1 they are 0.6 and 0.8."""
    for settings, wanted in (
        ({"global_clipnorm": 1.0}, [-0.6, -0.8]),
        ({"clipvalue": 3.5}, [-3.0, -3.5]),
    ):
        variables = [keras.Variable([0.0]), keras.Variable([0.0])]
        optimizer = build_optimizer("sgd", learning_rate=1.0, momentum=0.0, **settings)
        optimizer.apply([keras.ops.array([3.0]), keras.ops.array([4.0])], variables)
        assert [float(v[0]) for v in variables] == pytest.approx(wanted)


def test_accumulated_gradients_make_one_update_of_their_mean():
    variable = keras.Variable([0.0])
    optimizer = build_optimizer(
        "sgd", learning_rate=1.0, momentum=0.0, gradient_accumulation_steps=2
    )
    optimizer.apply([keras.ops.array([1.0])], [variable])
    assert float(variable[0]) == 0.0
    optimizer.apply([keras.ops.array([3.0])], [variable])
    assert float(variable[0]) == pytest.approx(-2.0)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_the_others_stay(schedule):
    assert set(rates(3, schedule=schedule)) == {1.0}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_a_step_downhill(name):
    variable = keras.Variable([1.0])
    optimizer = build_optimizer(name, learning_rate=0.1)

    optimizer.apply([keras.ops.ones(1)], [variable])

    assert float(variable[0]) < 1.0


def test_momentum_is_that_of_sgd():
    """Two unit gradients at rate 0.1 and momentum 0.5: 0.1, then 0.1 + 0.05 more."""
    variable = keras.Variable([1.0])
    optimizer = build_optimizer("sgd", learning_rate=0.1, momentum=0.5)

    for _ in range(2):
        optimizer.apply([keras.ops.ones(1)], [variable])

    assert float(variable[0]) == pytest.approx(1 - 0.1 - 0.15)


def test_weight_decay_takes_kernels_and_leaves_biases():
    """Rate 0.1 times decay 0.5 takes 5 % of a kernel; a zero gradient takes nothing."""
    kernel, bias = keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")
    optimizer = build_optimizer("sgd", learning_rate=0.1, weight_decay=0.5)

    optimizer.apply([keras.ops.zeros(1)] * 2, [kernel, bias])

    assert float(kernel[0]) == pytest.approx(0.95)
    assert float(bias[0]) == 1.0


@pytest.mark.parametrize(
    ("decay", "wanted"), [(None, 0.9996), (0.0, 1.0), (0.5, 0.95)], ids=["default", "none", "half"]
)
def test_muon_decays_matrices_and_the_rest_alike(decay, wanted):
    """A kernel of a convolution has four axes, and Keras's Muon a decay of its own for it."""
    shapes = [(2, 2), (1, 1, 2, 2)]
    kernels = [keras.Variable(keras.ops.ones(shape), name="kernel") for shape in shapes]
    optimizer = build_optimizer("muon", learning_rate=0.1, weight_decay=decay)

    optimizer.apply([keras.ops.zeros(shape) for shape in shapes], kernels)

    for kernel in kernels:
        assert kernel.numpy() == pytest.approx(wanted)


def test_adafactor_bears_a_unit_without_gradient():
    kernel = keras.Variable(keras.ops.ones((3, 2)), name="kernel")
    optimizer = build_optimizer("adafactor", learning_rate=0.1)

    optimizer.apply([keras.ops.array([[1.0, 0], [1, 0], [0, 0]])], [kernel])

    assert np.isfinite(kernel.numpy()).all()
    assert (kernel.numpy()[:2, 0] < 1).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_averages_move_with_the_updates_whatever_makes_one(compiled):
    """Gradient -1 and rate 1, so update t, from 1, comes to t; momenta 1/10, 2/11, 3/12, ..."""
    found = []
    for accumulate in (1, 3):
        variable = keras.Variable([0.0])
        optimizer = build_optimizer(
            "sgd",
            learning_rate=1.0,
            momentum=0.0,
            use_ema=True,
            ema_momentum=0.9,
            gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        )
        optimizer.build([variable])
        step = lambda: optimizer.apply([-keras.ops.ones(1)], [variable])  # noqa: B023, E731
        step = tf.function(step) if compiled else step
        for _ in range(12 * accumulate):
            step()
        found.append(float(optimizer._model_variables_moving_average[0][0]))

    average = 0.0  # Keras begins with what the first update makes of it
    for t in range(12):
        momentum = min(0.9, (1 + t) / (10 + t)) if t else 0.0
        average = momentum * average + (1 - momentum) * (t + 1)
    assert found == pytest.approx([average] * 2, rel=1e-5)


def test_adamw_keeps_the_decay_that_keras_gives_it():
    assert build_optimizer("adamw", learning_rate=0.1).weight_decay == 0.004


def test_an_unknown_name_is_near_another():
    with pytest.raises(UnknownName, match="Did you mean 'rmsprop'"):
        build_optimizer("rmsprob", learning_rate=0.1)
