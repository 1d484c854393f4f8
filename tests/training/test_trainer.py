"""The fit loop: stages, the best model, and resuming as if never interrupted."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import CheckFailed
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.networks.network import Network
from keras_transfer.training import trainer
from keras_transfer.training.optimizers import build_optimizer
from keras_transfer.training.terms import Term
from keras_transfer.training.trainer import StagePlan, Trainer

STEPS, EPOCHS = 3, 4

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(seed=0):
    """Five numbers in, two logits out, with dropout, so that its random state counts too."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5,), name="x")
    features = keras.layers.Dense(8, activation="relu", name="first")(inputs)
    features = keras.layers.Dropout(0.3)(features)
    logits = keras.layers.Dense(2, name="last")(features)
    return keras.Model({"x": inputs}, {"label": logits})


def trainer_of(model, folder, monitor="val_loss", loss=LOSS):
    terms = (Term("label", "label", loss, metrics=("accuracy",)),)
    return Trainer(Network(model, model, {}), folder, monitor, terms)


def fed(train, val=None):
    """Batches for the network's model."""
    val = validation() if val is None else val
    return StageBatches(None, train, val, lambda samples: val)


def batches(first_epoch, bad=False):
    """Twenty points in batches of eight; an epoch's order follows from its number."""
    x = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    weights = np.where((np.arange(20) == 7) & bad, np.nan, 1).astype("float32")

    def epoch(number):
        seed = tf.stack([tf.constant(0, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.range(20), seed=seed)
        points = tf.data.Dataset.from_tensor_slices(order)
        return points.map(lambda i: named(*(tf.gather(c, i) for c in (x, y, weights)))).batch(8)

    return tf.data.Dataset.range(first_epoch, EPOCHS).flat_map(epoch)


def named(x, y, weights):
    return {"x": x}, {"label": y}, {"label": weights}


def validation():
    x = np.random.default_rng(1).normal(size=(12, 5)).astype("float32")
    columns = named(x, np.int32(x[:, 0] > 0), np.ones(12, "float32"))
    return tf.data.Dataset.from_tensor_slices(columns).batch(5)


def train(
    folder,
    *,
    stages=2,
    train=batches,
    monitor="val_loss",
    rate=0.01,
    schedule="cosine",
    carry=False,
    **settings,
):
    trainer = trainer_of(network(), folder, monitor)
    for index in range(stages):
        keep = carry and index + 1 < stages
        carried = {"carry": carry and index > 0, "keep_optimizer_state": keep}
        optimizer = build_optimizer(
            "adam",
            learning_rate=rate,
            schedule=schedule,
            steps=STEPS * EPOCHS,
            carry=carried["carry"],
        )
        plan = StagePlan(f"s{index}", EPOCHS, STEPS, **carried, **settings)
        trainer.stage(index, fed(train), optimizer, plan)
    return trainer


def rows(folder):
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def weights(folder, name="last.keras"):
    return keras.models.load_model(folder / name).get_weights()


def equal(ones, others):
    return all(np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


@pytest.fixture(
    scope="module",
    params=[{"patience": 3, "plateau": 0.5}, {"soup": 3, "carry": True, "rate": 0.3}],
    ids=["patience", "soup"],
)
def unstopped(request, tmp_path_factory):
    """Settings, and the folder of a training by them that ran to its end."""
    folder = tmp_path_factory.mktemp("unstopped")
    train(folder, **request.param)
    return request.param, folder


@pytest.mark.parametrize("stop", [(0, 0), (0, 2), (1, 0), (1, 3)])
def test_resuming_equals_never_having_stopped(tmp_path, stop, unstopped, monkeypatch):
    """Stopped at the start of any epoch of any stage, weights and history end the same."""
    settings, whole = unstopped

    class Stop(trainer.Progress):
        def on_epoch_begin(self, epoch, logs=None):
            if (int(self.stage[1:]), epoch) == stop:
                raise KeyboardInterrupt
            super().on_epoch_begin(epoch, logs)

    monkeypatch.setattr(trainer, "Progress", Stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, **settings)
    monkeypatch.undo()
    train(tmp_path, **settings)

    assert equal(weights(whole), weights(tmp_path))
    assert equal(weights(whole, "best.keras"), weights(tmp_path, "best.keras"))
    assert rows(whole) == rows(tmp_path)


def test_a_soup_is_what_is_kept_where_it_is_better(tmp_path, caplog):
    """At so high a rate the epochs jump to and fro over the minimum; their average is nearer."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "soup").mkdir()
    plain = train(tmp_path / "plain", stages=1, rate=0.8, schedule="constant")
    caplog.set_level("INFO")
    soup = train(tmp_path / "soup", stages=1, rate=0.8, schedule="constant", soup=4)

    assert "Soup of " in caplog.text
    assert judged(tmp_path / "plain") == pytest.approx(plain.done["best"], rel=1e-4)
    assert judged(tmp_path / "soup") == pytest.approx(soup.done["best"], rel=1e-4)
    assert soup.done["best"] < plain.done["best"]
    assert equal(weights(tmp_path / "plain"), weights(tmp_path / "soup"))
    assert {path.name for path in (tmp_path / "soup").iterdir()} == {
        "best.keras", "history.csv", "last.keras", "state.npz", "tensorboard"
    }  # fmt: skip


def judged(folder):
    model = keras.models.load_model(folder / "best.keras")
    model.compile(loss={"label": LOSS})
    return model.evaluate(validation(), return_dict=True, verbose=0)["loss"]


def test_history_has_a_row_an_epoch_with_its_stage(tmp_path):
    train(tmp_path)

    found = rows(tmp_path)
    assert [(row["stage"], row["epoch"]) for row in found] == [
        (stage, str(epoch)) for stage in ("s0", "s1") for epoch in (1, 2, 3, 4)
    ]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} < set(found[0])


@pytest.mark.parametrize(("monitor", "best"), [("val_loss", min), ("val_accuracy", max)])
def test_the_best_model_is_that_of_the_best_epoch(tmp_path, monitor, best):
    train(tmp_path, monitor=monitor, rate=0.3)

    model = keras.models.load_model(tmp_path / "best.keras")
    model.compile(loss={"label": LOSS}, weighted_metrics={"label": ["accuracy"]})
    found = model.evaluate(validation(), return_dict=True, verbose=0)
    metrics = [float(row[monitor]) for row in rows(tmp_path)]
    assert found[monitor.removeprefix("val_")] == pytest.approx(best(metrics), rel=1e-5)


def test_files_of_the_model_hold_no_optimizer(tmp_path):
    train(tmp_path, stages=1)

    assert getattr(keras.models.load_model(tmp_path / "best.keras"), "optimizer", None) is None


def test_what_is_frozen_stays_the_same_to_the_byte(tmp_path):
    model = network()
    model.get_layer("first").trainable = False
    before = [w.tobytes() for w in model.get_layer("first").get_weights()]
    head = model.get_layer("last").get_weights()
    trainer = trainer_of(model, tmp_path)

    optimizer = build_optimizer("sgd", learning_rate=0.1, weight_decay=0.1)
    trainer.stage(0, fed(batches), optimizer, StagePlan("head", 2, STEPS))

    assert [w.tobytes() for w in model.get_layer("first").get_weights()] == before
    assert not equal(head, model.get_layer("last").get_weights())


def test_patience_ends_a_stage(tmp_path):
    """With a rate of almost 0 nothing gets better after the first epochs, within patience 1."""
    train(tmp_path, stages=1, rate=1e-30, patience=1)

    assert len(rows(tmp_path)) == 2


def test_a_stage_that_was_ended_by_patience_stays_ended(tmp_path):
    train(tmp_path, stages=1, rate=1e-30, patience=1)
    train(tmp_path, stages=1, rate=1e-30, patience=1)

    assert len(rows(tmp_path)) == 2


def test_plateau_lowers_the_rate(tmp_path):
    trainer = trainer_of(network(), tmp_path)
    optimizer = build_optimizer("sgd", learning_rate=1e-30, schedule="plateau")
    plan = StagePlan("s0", epochs=4, steps=STEPS, plateau=0.1)
    trainer.stage(0, fed(batches), optimizer, plan)

    assert [float(row["learning_rate"]) for row in rows(tmp_path)] == pytest.approx(
        [1e-30, 1e-30, 1e-31, 1e-31]
    )


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_best_model(tmp_path):
    def spoilt_later(first_epoch):
        """Sound in the first epoch, not in the second."""
        return batches(0).take(STEPS).concatenate(batches(1, bad=True))

    with pytest.raises(CheckFailed, match=r"became nan in stage 's0', epoch 2, batch \d.*--lr"):
        train(tmp_path, train=spoilt_later)

    assert np.isfinite(np.concatenate([w.ravel() for w in weights(tmp_path, "best.keras")])).all()
    assert len(rows(tmp_path)) == 1


def test_a_spoilt_state_file_says_so(tmp_path):
    from keras_transfer.errors import BadData

    (tmp_path / "state.npz").write_bytes(b"nonsense")
    with pytest.raises(BadData, match="another --out"):
        trainer_of(network(), tmp_path)


def test_the_state_of_another_network_is_refused(tmp_path, monkeypatch):
    from keras_transfer.errors import BadData

    train(tmp_path, stages=1)
    inputs = keras.Input((5,), name="x")
    model = keras.Model({"x": inputs}, {"label": keras.layers.Dense(2)(inputs)})
    trainer = trainer_of(model, tmp_path)
    optimizer = build_optimizer("sgd", learning_rate=1.0)
    with pytest.raises(BadData, match="another network"):
        trainer.stage(1, fed(batches), optimizer, StagePlan("s1", 1, 1))


def with_warm_ema():
    return build_optimizer("sgd", learning_rate=0.1, use_ema=True, ema_momentum=0.5)


def train_averaging(folder, train=batches):
    trainer = trainer_of(network(), folder)
    trainer.stage(0, fed(train), with_warm_ema(), StagePlan("s0", EPOCHS, STEPS))
    return trainer


def test_moving_averages_are_what_is_judged_and_kept(tmp_path):
    """By Keras's own training, and averages taken outside it."""
    model = network()
    optimizer = build_optimizer("sgd", learning_rate=0.1)
    averages, wanted, update = None, [], 0
    feed = iter(batches(0))
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            x, y, w = next(feed)
            with tf.GradientTape() as tape:
                logits = model(x, training=True)["label"]
                value = LOSS(y["label"], logits, sample_weight=w["label"])
            optimizer.apply(
                tape.gradient(value, model.trainable_variables), model.trainable_variables
            )
            now, momentum = model.get_weights(), min(0.5, (1 + update) / (10 + update))
            averages = [
                momentum * a + (1 - momentum) * b
                for a, b in zip(averages if averages else now, now, strict=True)
            ]
            update += 1
        raw = model.get_weights()
        model.set_weights(averages)
        wanted.append(loss_of(model))
        model.set_weights(raw)

    train_averaging(tmp_path)

    assert [float(row["val_loss"]) for row in rows(tmp_path)] == pytest.approx(wanted, rel=1e-4)
    best = keras.models.load_model(tmp_path / "best.keras")
    assert loss_of(best) == pytest.approx(min(wanted), rel=1e-4)


def loss_of(model):
    """Mean loss of the twelve validation points."""
    pairs = [(y["label"], model(x)["label"]) for x, y, _ in validation()]
    return sum(float(LOSS(labels, logits)) * len(labels) for labels, logits in pairs) / 12


def test_averages_are_judged_in_float16_too(tmp_path):
    """There Keras wraps the optimizer into one that scales losses."""
    judged = {}
    for name, settings in (("raw", {}), ("averages", {"use_ema": True, "ema_momentum": 0.9})):
        folder = tmp_path_of(tmp_path, name)
        optimizer = keras.optimizers.LossScaleOptimizer(
            build_optimizer("sgd", learning_rate=0.1, **settings)
        )
        trainer = trainer_of(network(), folder)
        trainer.stage(0, fed(batches), optimizer, StagePlan("s0", EPOCHS, STEPS))
        judged[name] = [float(row["val_loss"]) for row in rows(folder)]
    best = keras.models.load_model(tmp_path / "averages/best.keras")

    assert judged["raw"] != judged["averages"]
    assert loss_of(best) == pytest.approx(min(judged["averages"]), rel=1e-4)


def test_an_interrupted_training_with_averages_ends_as_if_never_stopped(tmp_path):
    whole = train_averaging(tmp_path_of(tmp_path, "whole"))

    def stopping(first_epoch):
        return batches(first_epoch).take(2 * STEPS + 1).concatenate(broken())

    with pytest.raises(Exception, match="stop"):
        train_averaging(tmp_path_of(tmp_path, "stopped"), stopping)
    resumed = train_averaging(tmp_path / "stopped")

    assert rows(tmp_path / "whole") == rows(tmp_path / "stopped")
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def tmp_path_of(tmp_path, name):
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name


def broken():
    """A batch that cannot be had."""

    def stop(i):
        raise RuntimeError("stop")

    def batch(i):
        x = tf.numpy_function(stop, [i], tf.float32)
        return named(tf.ensure_shape(x, (None, 5)), tf.zeros(8, tf.int32), tf.ones(8))

    return tf.data.Dataset.range(1).map(batch)


def test_shares_of_classes_train_as_class_numbers_do(tmp_path):
    """Rows of 0 and 1 say what numbers say: same losses, same accuracies."""

    def hot(x, y, weights):
        return x, {"label": tf.one_hot(y["label"], 2)}, weights

    shares = fed(lambda first: batches(first).map(hot), validation().map(hot))
    soft = keras.losses.CategoricalCrossentropy(from_logits=True)
    for name, given, loss in (("numbers", fed(batches), LOSS), ("shares", shares, soft)):
        (tmp_path / name).mkdir()
        trainer_of(network(), tmp_path / name, loss=loss).stage(
            0, given, build_optimizer("sgd", learning_rate=0.1), StagePlan("s", 2, STEPS)
        )
    for one, other in zip(rows(tmp_path / "numbers"), rows(tmp_path / "shares"), strict=True):
        for metric in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert float(other[metric]) == pytest.approx(float(one[metric]), abs=1e-5)
