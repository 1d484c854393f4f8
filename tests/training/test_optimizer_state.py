"""Optimizers that go on: against one that never stopped, and one that begins."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.training.optimizer_state import load_optimizer_state, save_optimizer_state
from keras_transfer.training.optimizers import OPTIMIZERS, build_optimizer

NAMES = [name for name in OPTIMIZERS if name != "nadam"]
RATE = 0.1


def variables():
    return (
        keras.Variable(np.float32([[1, -2], [3, 0.5]]), name="old_kernel"),
        keras.Variable(np.float32([[0.3, 2], [-1, 1]]), name="new_kernel"),
    )


def gradient(step):
    return keras.ops.convert_to_tensor(np.random.default_rng(step).normal(size=(2, 2)), "float32")


def applied(optimizer, trained, steps, graph=False):
    def apply(gradients):
        optimizer.apply(gradients, list(trained))

    apply = tf.function(apply) if graph else apply
    if not optimizer.built:
        optimizer.build(list(trained))
    for step in steps:
        apply([gradient(step)] * len(trained))


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_old_go_on_and_the_new_begin(tmp_path, name, graph):
    old, new = variables()
    first = build_optimizer(name, learning_rate=RATE)
    applied(first, [old], range(5))
    save_optimizer_state(tmp_path / "slots.npz", first, [old, new])
    second = build_optimizer(name, learning_rate=RATE, carry=True)
    second.build([new, old])

    assert load_optimizer_state(tmp_path / "slots.npz", second, [old, new]) == 1
    applied(second, [new, old], range(5, 8), graph)

    going, begun = variables()
    applied(build_optimizer(name, learning_rate=RATE), [going], range(8))
    applied(build_optimizer(name, learning_rate=RATE), [begun], range(5, 8))
    np.testing.assert_allclose(old.numpy(), going.numpy(), rtol=1e-5)
    np.testing.assert_allclose(new.numpy(), begun.numpy(), rtol=1e-5)


def test_ages_add_up_over_stages(tmp_path):
    old, new = variables()
    path, both = tmp_path / "slots.npz", list(variables())
    first = build_optimizer("adam", learning_rate=RATE)
    applied(first, [old], range(3))
    save_optimizer_state(path, first, [old, new])
    for steps in (range(3, 5), range(5, 9)):
        optimizer = build_optimizer("adam", learning_rate=RATE, carry=True)
        optimizer.build([old, new])
        load_optimizer_state(path, optimizer, [old, new])
        applied(optimizer, [old, new], steps)
        save_optimizer_state(path, optimizer, [old, new])

    with np.load(path) as found:
        assert (int(found["0.age"]), int(found["1.age"])) == (9, 6)
    applied(build_optimizer("adam", learning_rate=RATE), both[:1], range(9))
    np.testing.assert_allclose(old.numpy(), both[0].numpy(), rtol=1e-5)


def test_a_scaled_loss_and_accumulated_gradients_do_not_matter(tmp_path):
    """Three batches an update: what is carried is counted in updates."""
    old, _ = variables()
    settings = {"learning_rate": RATE, "gradient_accumulation_steps": 3}
    first = keras.optimizers.LossScaleOptimizer(
        build_optimizer("adam", **settings), initial_scale=1.0
    )
    applied(first, [old], range(6))
    save_optimizer_state(tmp_path / "slots.npz", first, [old])
    second = build_optimizer("adam", carry=True, **settings)
    second.build([old])
    load_optimizer_state(tmp_path / "slots.npz", second, [old])

    assert second.ages.numpy().tolist() == [2]
    applied(second, [old], range(6, 9))

    going, _ = variables()
    applied(build_optimizer("adam", **settings), [going], range(9))
    np.testing.assert_allclose(old.numpy(), going.numpy(), rtol=1e-5)
