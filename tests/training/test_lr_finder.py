"""The range test: its numbers worked out by hand, and that it leaves a model as it was."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import CheckFailed
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.networks.network import Network
from keras_transfer.training.layer_rates import layerwise
from keras_transfer.training.lr_finder import (
    Sweep,
    diverged,
    minimum,
    rates,
    smoothed,
    steepest,
    three_quarters,
)
from keras_transfer.training.optimizers import OPTIMIZERS, build_optimizer
from keras_transfer.training.terms import Term
from keras_transfer.training.trainer import Trainer


def test_rates_grow_by_one_factor():
    assert rates(9) == pytest.approx([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10])


def test_smoothing_looks_to_both_sides():
    # Weights 1, 1/2, 1/4; 1/2, 1, 1/2; 1/4, 1/2, 1.
    np.testing.assert_allclose(smoothed([7, 0, 14], 0.5), [10.5 / 1.75, 10.5 / 2, 15.75 / 1.75])


def test_how_far_a_loss_diverges_does_not_matter():
    fall = [1.0] * 20 + [0.9, 0.7, 0.4, 0.2, 0.2, 0.2, 0.3]
    ones, others = (Sweep(rates(30), [*fall, *([up] * 3)]) for up in (3.0, 3e9))
    assert ones.suggestions() == others.suggestions()


def test_the_rules():
    # Central differences a decade: -0.1, -0.5, -0.65, then up; the least loss is at 0.1.
    grown, curve = [1e-4, 1e-3, 1e-2, 1e-1, 1], np.array([2.0, 1.9, 1.0, 0.6, 3.0])
    assert steepest(grown, curve) == 1e-2
    assert minimum(grown, curve) == pytest.approx(1e-2)


def test_three_quarters_of_the_fall():
    # From 3 to 1, so down to 1.5: first reached at the thirteenth, whatever comes before or after.
    curve = np.array([3.0] * 10 + [2.5, 1.6, 1.5, 1.6, 1.0, 7.0])
    assert three_quarters(rates(16), curve) == rates(16)[12]


def test_a_steeper_fall_after_the_minimum_does_not_count():
    # A decade: -0.2, -0.6, -0.4 up to the minimum; then 2.1, 0, -4.
    curve = np.array([2.0, 1.8, 0.8, 1.0, 5.0, 1.0])
    assert steepest([1e-4, 1e-3, 1e-2, 1e-1, 1, 10], curve) == 1e-3


def test_suggestions_have_three_digits():
    seen = Sweep(rates(41), [2.0] * 20 + [2.0 - 0.1 * i for i in range(20)] + [9.0])
    assert all(rate == float(f"{rate:.3g}") for rate in seen.suggestions().values())
    assert list(seen.suggestions()) == ["three quarters", "steepest", "minimum/10"]


@pytest.mark.parametrize(
    "losses",
    [
        [1 + 0.1 * i for i in range(40)],  # only grows
        [1.0] * 40,  # stands still
        [1.0, 1.4] * 20,  # differs from batch to batch, by 0.2 to either side
        [3.0, 2.0, 1.0],  # diverged at once
        [2.0, *[1.0] * 5, *[1.5] * 30],  # fell before anything can be learnt
        [],  # NaN in the first batch
    ],
)
def test_where_no_rule_holds_there_is_an_error_and_no_guess(losses):
    with pytest.raises(CheckFailed, match="no rate can be suggested"):
        Sweep(rates(len(losses)), losses).suggestions()


@pytest.mark.parametrize(("last", "ends"), [(1.0, False), (1000.0, True), (float("nan"), True)])
def test_what_ends_a_sweep(last, ends):
    assert diverged([1.0] * 9 + [last]) is ends


def network():
    """Dropout and batch normalisation: state that training changes beside the weights."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5,), name="x")
    features = keras.layers.Dense(8, activation="relu")(inputs)
    features = keras.layers.BatchNormalization()(features)
    features = keras.layers.Dropout(0.3)(features)
    return keras.Model({"x": inputs}, {"label": keras.layers.Dense(2)(features)})


def batches(first_epoch=0):
    x = np.random.default_rng(0).normal(size=(24, 5)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    columns = {"x": x}, {"label": y}, {"label": np.ones(24, "float32")}
    return tf.data.Dataset.from_tensor_slices(columns).batch(8)


def state(model):
    return [keras.ops.convert_to_numpy(one).copy() for one in model.variables]


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def swept(tmp_path, optimizer, model=None, train=batches, **settings):
    model = model or network()
    trainer = Trainer(
        Network(model, model, {}), tmp_path, "val_loss", [Term("label", "label", LOSS)]
    )
    given = StageBatches(None, train, batches(), lambda samples: batches())
    return trainer.sweep(given, optimizer, **settings)


def test_everything_is_put_back(tmp_path):
    model = network()
    before, drawn = state(model), (random.getstate(), np.random.get_state()[1].copy())

    seen = swept(tmp_path, build_optimizer("adam", learning_rate=1.0), model)

    assert all(np.array_equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert drawn[0] == random.getstate()
    assert np.array_equal(drawn[1], np.random.get_state()[1])
    assert not list(tmp_path.iterdir())
    assert 1e-4 <= seen.suggestions()["three quarters"] <= 1


def test_everything_is_put_back_when_it_is_interrupted(tmp_path, monkeypatch):
    model = network()
    before, calls = state(model), []

    def interrupt(losses):
        calls.append(losses)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr("keras_transfer.training.sweeping.diverged", interrupt)
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, build_optimizer("sgd", learning_rate=1.0), model)
    assert all(np.array_equal(a, b) for a, b in zip(before, state(model), strict=True))


def test_losses_are_those_of_single_steps(tmp_path):
    """Nothing is learnt at 1e-7: the first three losses are those of the three batches."""
    model = network()
    seen = swept(tmp_path, build_optimizer("sgd", learning_rate=1.0), model)

    for (x, y, _), found in zip(batches(), seen.losses[:3], strict=True):
        assert found == pytest.approx(
            float(LOSS(y["label"], model(x, training=True)["label"])), rel=1e-4
        )


def test_a_rate_is_held_for_as_many_batches_as_make_an_update(tmp_path):
    optimizer = build_optimizer("sgd", learning_rate=1.0, gradient_accumulation_steps=3)
    plain = swept(tmp_path, build_optimizer("sgd", learning_rate=1.0))
    seen = swept(tmp_path, optimizer, accumulate=3)

    assert seen.rates[:20] == rates()[:20]
    # A step of three batches is a whole epoch: their mean, which dropout alone changes.
    first = [np.mean(plain.losses[:3]), np.mean(plain.losses[3:6])]
    assert seen.losses[:2] == pytest.approx(first, rel=1e-4)


FAST = ("sgd", "adam", "adafactor", "ftrl", "muon", "layerwise")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
        for name in [*OPTIMIZERS, "layerwise"]
    ],
)
def test_every_optimizer_can_be_swept(tmp_path, name):
    if name == "layerwise":
        optimizer = layerwise(keras.optimizers.Adam, lambda variable: 0.5)(1.0)
    else:
        optimizer = build_optimizer(name, learning_rate=1.0, use_ema=True, clipnorm=1.0)
    model = network()
    before = state(model)

    seen = swept(tmp_path, optimizer, model)

    assert len(seen.rates) >= 12
    assert all(np.array_equal(a, b) for a, b in zip(before, state(model), strict=True))


def test_a_loss_of_nan_ends_it(tmp_path):
    def bad(first_epoch):
        nan = np.float32("nan")
        return batches().map(lambda x, y, w: (x, y, {"label": w["label"] * nan}))

    seen = swept(tmp_path, build_optimizer("sgd", learning_rate=1.0), train=bad)
    assert seen.losses == []
