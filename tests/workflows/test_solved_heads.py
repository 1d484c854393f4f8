"""Heads that a solver computes: in a run, resumed, bagged, before a stage that tunes."""

import logging
import re

import keras
import numpy as np
import pytest
from processes import paint
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from stops import Stop
from tiny import RECIPE

from keras_transfer import BadConfiguration, Head
from keras_transfer.data.batches import evaluation_batches

SOLVED = {"name": "head", "solver": "logistic"}
TUNE = {"name": "tune", "epochs": 1, "unfreeze": "block3", "learning_rate": 1e-3}
PLAIN = RECIPE.changed(head=Head(), engine_error=0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paint(folder, blue=16, red=16, green=12)
    return str(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _one_cache(cache, monkeypatch, caplog):
    """The frozen network is the same in all runs, so its features are computed once."""
    monkeypatch.setenv("KT_CACHE_DIR", str(cache))
    caplog.set_level(logging.INFO, "keras_transfer")


def weights(run):
    return keras.models.load_model(run.folder / "best.keras").get_weights()


def equal(one, other):
    return all(map(np.array_equal, weights(one), weights(other)))


def pooled(run, samples):
    full = keras.Model(run.model.input, run.model.get_layer("pool").output)
    batches = evaluation_batches(samples, run.loading)
    return np.concatenate([full(pixels).numpy() for pixels, _, _ in batches])


def test_the_head_is_the_solution_on_the_features_of_the_train_split(images, tmp_path, caplog):
    recipe = PLAIN.changed(
        data=images, stages=[SOLVED], class_weight={"blue": 1, "green": 3, "red": 1}
    )
    run = recipe.run(out=tmp_path / "run", name="solved")

    (c,) = re.findall(r"Logistic regression: C = (\S+) by 5-fold cross-validation", caplog.text)
    train, test = (run.samples([name]) for name in ("train", "test"))
    of_class = np.array([1.0, 3.0, 1.0])
    scaler = StandardScaler().fit(pooled(run, train), sample_weight=of_class[train.labels])
    exponent = np.log10(float(c))
    model = LogisticRegression(C=10 ** (round(2 * exponent) / 2), tol=1e-8, max_iter=10_000)
    model.fit(
        scaler.transform(pooled(run, train)),
        train.labels,
        sample_weight=of_class[train.labels],
    )
    wanted = model.predict_proba(scaler.transform(pooled(run, test)))
    assert np.concatenate(
        [
            keras.ops.softmax(run.model(pixels)["label"]).numpy()
            for pixels, _, _ in evaluation_batches(test, run.loading)
        ]
    ) == pytest.approx(wanted, abs=2e-3)
    (row,) = run.history
    assert (row["stage"], row["epoch"], row["learning_rate"]) == ("head", 1, 0)
    # The epoch changed nothing: what it measured is what the model predicts.
    assert row["val_loss"] == pytest.approx(run.metrics["val"]["log_loss"], abs=1e-4)
    assert [*(run.folder / "tensorboard" / "head").iterdir()]


def test_tuning_starts_at_the_solution_and_is_kept_only_if_it_is_better(images, tmp_path):
    head = PLAIN.changed(data=images, stages=[SOLVED]).run(out=tmp_path / "head", name="x")
    harmful = PLAIN.changed(data=images, stages=[SOLVED, TUNE | {"learning_rate": 10.0}])
    worse = harmful.run(out=tmp_path / "worse", name="x")
    gentle = PLAIN.changed(data=images, stages=[SOLVED, TUNE | {"learning_rate": 1e-6}])
    tuned = gentle.run(out=tmp_path / "tuned", name="x")

    auto = {"name": "head", "solver": "auto", "epochs": 2, "learning_rate": 0.1}
    same = PLAIN.changed(data=images, stages=[auto]).run(out=tmp_path / "same", name="x")
    assert equal(same, head)
    assert same.history == head.history
    assert [row["stage"] for row in worse.history] == ["head", "tune"]
    first, second = (row["val_loss"] for row in worse.history)
    assert second > first
    assert equal(worse, head)
    # Only the solution is this good; an untrained head has log 3.
    assert tuned.history[1]["val_loss"] < 0.05


@pytest.fixture(scope="module")
def straight(images, cache, tmp_path_factory):
    recipe = PLAIN.changed(data=images, stages=[SOLVED, TUNE])
    with pytest.MonkeyPatch.context() as patch:
        # The engine is chosen by a timing, once for each cache.
        patch.setenv("KT_CACHE_DIR", str(cache))
        return recipe.run(out=tmp_path_factory.mktemp("straight") / "run", name="x")


@pytest.mark.parametrize(
    "words",
    [
        "Logistic regression",
        *(pytest.param(words, marks=pytest.mark.slow) for words in ("head 1/1", "Stage 'tune'")),
    ],
)
def test_a_resumed_run_equals_one_that_was_not_stopped(images, straight, tmp_path, words):
    recipe = PLAIN.changed(data=images, stages=[SOLVED, TUNE])
    stop = Stop(words)
    logging.getLogger("keras_transfer").addHandler(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out=tmp_path / "stopped", name="x")
    finally:
        logging.getLogger("keras_transfer").removeHandler(stop)
    resumed = recipe.run(out=tmp_path / "stopped", name="x", resume=True)

    assert equal(resumed, straight)
    assert resumed.history == straight.history


def test_each_member_of_bagging_is_solved_on_its_bootstrap_sample(images, tmp_path, caplog):
    recipe = PLAIN.changed(data=images, stages=[SOLVED], method="bagging:2", baselines="none")
    run = recipe.run(out=tmp_path / "run", name="x")

    assert [row["stage"] for row in run.history] == ["member1.head", "member2.head"]
    assert caplog.text.count("Logistic regression: C = ") == 2
    first, second = (run.model.get_layer(f"member{n}_logits").kernel.numpy() for n in (1, 2))
    assert not np.array_equal(first, second)


def test_auto_finds_the_rate_of_the_first_stage_that_is_trained(images, tmp_path):
    recipe = PLAIN.changed(data=images, stages=[SOLVED, TUNE], lr="auto")
    assert [stage.learning_rate for stage in recipe.stages] == [1e-3, "auto"]

    run = recipe.run(out=tmp_path / "run", name="x")

    assert run.history[1]["learning_rate"] > 0
    assert (run.folder / "lr_find.csv").exists()


def test_shorthand_is_for_the_stages_that_are_trained():
    recipe = PLAIN.changed(stages=[SOLVED, TUNE], epochs=7, lr=0.1, schedule="cosine", views=2)

    assert [s.epochs for s in recipe.stages] == [10, 7]
    assert [s.learning_rate for s in recipe.stages] == [1e-3, 0.1]
    assert [s.schedule for s in recipe.stages] == ["constant", "cosine"]
    assert [s.views for s in recipe.stages] == [2, 2]
    with pytest.raises(BadConfiguration, match="every stage has a solver"):
        PLAIN.changed(stages=[SOLVED], epochs=7)
    with pytest.raises(BadConfiguration, match="comes after logistic"):
        PLAIN.changed(stages=[SOLVED, TUNE | {"carry": True}])
