"""Seeds, precision and devices; devices in a process of their own, since TensorFlow fixes them."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import UnknownName
from keras_transfer.training.distributed import session, strategy
from keras_transfer.training.optimizers import build_optimizer

TWO_DEVICES = """
import json, sys
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from keras_transfer.data.batches import (
    Loading, evaluation_batches, label_columns, training_batches
)
from keras_transfer.data.samples import Samples
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.inputs.images.bound import BoundImage
from keras_transfer.networks.network import Network
from keras_transfer.training.terms import Term
from keras_transfer.training.trainer import StagePlan, Trainer
from keras_transfer.training.optimizers import build_optimizer
from keras_transfer.training.distributed import strategy
from pathlib import Path

class Points:
    def read(self, row):
        drawn = tf.random.stateless_uniform([4, 4, 3], [1, row], 0, 256, tf.int32)
        return tf.cast(drawn, tf.uint8)

def trained(n, batch, name, folder):
    folder.mkdir()
    samples = Samples.of(Points(), ["a", "b"], [str(i) for i in range(n)], np.arange(n) % 2)
    devices = strategy(name, batch)
    loading = Loading(BoundImage(4), batch, devices.num_replicas_in_sync)
    keras.utils.set_random_seed(0)
    with devices.scope():
        inputs = keras.Input((4, 4, 3), name="pixels")
        logits = keras.layers.Dense(2)(keras.layers.Flatten()(inputs / 255.0))
        val = evaluation_batches(samples, loading)
        model = keras.Model({"pixels": inputs}, {"label": logits})
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        terms = [Term("label", "label", loss, metrics=("accuracy",))]
        trainer = Trainer(Network(model, model, {}), folder, "val_loss", terms)
        columns = label_columns(samples, np.float32([1, 2]))
        trainer.stage(
            0,
            StageBatches(
                None,
                lambda e: training_batches(samples, loading, columns, epochs=3, first_epoch=e),
                val,
                lambda split: evaluation_batches(split, loading),
            ),
            build_optimizer("sgd", learning_rate=0.5),
            StagePlan("s", 3, loading.steps(n)),
        )
    weights = [w.tolist() for w in keras.models.load_model(folder / "last.keras").get_weights()]
    return {"replicas": loading.replicas, "weights": weights, "rows": trainer.done["rows"]}

print(json.dumps({
    f"{n} {name}": trained(n, 4, name, Path(sys.argv[1]) / f"{n}_{name}")
    for n in (9, 8, 5) for name in ("one_device", "mirrored")
}))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What came of each number of images in batches of 4, on one device and on two."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(tmp_path_factory.mktemp("devices"))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("n", [9, 8, 5])
def test_two_devices_train_as_one_does(trained, n):
    """With an uneven last batch (of 1) too: same losses, same weights, nothing not finite."""
    one, two = trained[f"{n} one_device"], trained[f"{n} mirrored"]

    assert (one["replicas"], two["replicas"]) == (1, 2)
    for a, b in zip(one["weights"], two["weights"], strict=True):
        assert np.allclose(a, b, atol=1e-5)
    for a, b in zip(one["rows"], two["rows"], strict=True):
        assert a["val_loss"] == pytest.approx(b["val_loss"], abs=1e-5)
        assert a["val_accuracy"] == pytest.approx(b["val_accuracy"], abs=1e-6)


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """What came of each case of ``device_runs.py``, on one device and on two."""
    script = Path(__file__).with_name("device_runs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path_factory.mktemp("settled"))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        *("global_clipnorm", "clipnorm", "clipvalue", "penalties"),
        *("accumulate", "batch_norm", "head_batch_norm"),
    ],
)
def test_two_devices_clip_normalise_and_penalise_as_one_does(settled, case):
    """The weights and moving statistics after 6 or 9 updates, also with a padded last batch."""
    one, two = settled[f"{case} one_device"], settled[f"{case} mirrored"]

    assert (one["replicas"], two["replicas"]) == (1, 2)
    for a, b in zip(one["weights"], two["weights"], strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-5)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-4)


GRADIENTS = """
import json, sys
import keras, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from keras_transfer.training.distributed import strategy
from keras_transfer.training.optimizers import build_optimizer
from keras_transfer.training.replicas import loss_scaling

devices = strategy("mirrored", 4)

def updated(batches, wrap=lambda optimizer: optimizer, rows=False, **settings):
    with devices.scope():
        weight = keras.Variable([[1.0], [2.0]])
        optimizer = wrap(build_optimizer("sgd", learning_rate=0.5, momentum=0.0, **settings))
        optimizer.build([weight])

    @tf.function
    def step(values):
        def one():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            grad = tf.gather(values, replica)[:, None] * getattr(optimizer, "dynamic_scale", 1.0)
            if rows:
                grad = tf.IndexedSlices(grad, tf.range(2), tf.constant([2, 1]))
            optimizer.apply([grad], [weight])
        devices.run(one)

    seen = []
    for values in batches:
        step(tf.constant(values, tf.float32))
        seen.append(weight.numpy()[:, 0].tolist())
    return seen

inf = float("inf")
whole, first, second = [[1, 1], [1, 1]], [[inf, 1], [1, 1]], [[1, 1], [inf, 1]]
print(json.dumps({
    "scaled": updated([whole, second, first, [[0, 0], [1, 0]]], loss_scaling),
    "rows": updated([whole, [[0, 0], [2, 0]]], rows=True, gradient_accumulation_steps=2),
    "clipped": updated([[[3, 0], [0, 4]]], global_clipnorm=1.0),
    "one_clipped": updated([[[3, 0], [0, 4]]], clipnorm=1.0),
    "clipped_rows": updated([[[3, 0], [0, 4]]], rows=True, global_clipnorm=1.0),
    "values": updated([[[3, -3], [-3, -4]]], clipvalue=1.0),
}))
"""


def test_gradients_of_two_devices():
    """From (1, 2) at a rate of 0.5, computed by hand."""
    done = subprocess.run([sys.executable, "-c", GRADIENTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    # An infinite gradient on either device: no update of any.
    assert found["scaled"] == [[0, 1], [0, 1], [0, 1], [-0.5, 1]]
    # After two batches by the mean of their sums, (2, 2) and (2, 0): (2, 1).
    assert found["rows"] == [[1, 2], [0, 1.5]]
    # The sum (3, 4) is scaled to a norm of 1: (0.6, 0.8).
    assert found["clipped"] == found["one_clipped"] == found["clipped_rows"]
    assert found["clipped"][0] == pytest.approx([0.7, 1.6])
    # The sum (0, -7) is cut to (0, -1).
    assert found["values"] == [[1, 2.5]]


def test_one_mirrored_device_accumulates_too():
    """From 3 at a rate of 0.5: by the mean of 1 and 2 after two batches."""
    devices = strategy("mirrored", 4)
    with devices.scope():
        weight = keras.Variable([3.0])
        optimizer = build_optimizer(
            "sgd", learning_rate=0.5, momentum=0.0, gradient_accumulation_steps=2
        )
        optimizer.build([weight])

    @tf.function
    def step(grad):
        devices.run(lambda: optimizer.apply([tf.identity(grad)], [weight]))

    seen = []
    for grad in (1.0, 2.0, 4.0):
        step(tf.constant([grad]))
        seen += weight.numpy().tolist()

    assert seen == [3, 2.25, 2.25]


def test_a_policy_of_the_user_holds_outside_of_a_session_only():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with session(seed=0):
            assert keras.config.dtype_policy().name == "float32"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_seed_repeats_what_is_drawn():
    def draw():
        with session(seed=3):
            return (
                keras.layers.Dense(4).compute_output_shape((1, 2)),
                np.random.rand(),
                float(keras.random.normal(())),
            )

    assert draw() == draw()


def test_an_unknown_strategy_is_near_another():
    with pytest.raises(UnknownName, match="Did you mean 'mirrored'"):
        strategy("miror", 32)
