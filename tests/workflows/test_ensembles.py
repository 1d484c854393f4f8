"""Bagging and boosted trees: refusals, averaged heads, the metrics of the trees."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tiny
from processes import paint
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss

import keras_transfer
from keras_transfer import seeds
from keras_transfer.data.sampling import bootstrap
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.exports.formats import FORMATS
from keras_transfer.features import extractor
from keras_transfer.training import trainer

RECIPE = tiny.RECIPE.changed(
    stages=[{"name": "head", "epochs": 2, "learning_rate": 0.1}],
    engine_error=0,
    method="bagging:3",
)
TREES = RECIPE.changed(method="supervised", baselines="boosted_trees")
TUNED = [{"name": "head", "epochs": 1}, {"name": "tune", "epochs": 1, "unfreeze": "all"}]


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"method": "supervise"}, UnknownName, "Did you mean 'supervised'"),
        ({"method": "baging:10"}, UnknownName, "Did you mean 'bagging:10'"),
        ({"method": "supervised:3"}, BadConfiguration, "nothing follows supervised"),
        ({"baselines": "bosted_trees"}, UnknownName, "Did you mean 'boosted_trees'"),
        ({"method": "bagging"}, BadConfiguration, "2 to 100, e.g. bagging:10"),
        ({"method": "bagging:1"}, BadConfiguration, "2 to 100"),
        ({"method": "bagging:101"}, BadConfiguration, "2 to 100"),
        ({"method": "bagging:-3"}, BadConfiguration, "2 to 100"),
        ({"method": "bagging:ten"}, BadConfiguration, "2 to 100"),
        ({"engine": "none"}, BadConfiguration, "computes once. With engine = none"),
        (
            {"method": "supervised", "baselines": "boosted_trees", "engine": "none"},
            BadConfiguration,
            "With engine = none",
        ),
        ({"schedule": "bit"}, BadConfiguration, r"unfreezes all blocks \(schedule = bit\)"),
        ({"stages": TUNED}, BadConfiguration, r"'tune' unfreezes blocks \(stages.1.unfreeze\)"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(settings, kind, message):
    with pytest.raises(kind, match=message):
        RECIPE.changed(**settings)


def softmax(logits):
    odds = np.exp(logits.astype("float64") - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def pooled(run, samples):
    """Features of images by the backbone in the run's model, averaged over all places."""
    from keras_transfer.data.batches import evaluation_batches

    whole = keras.Model(run.model.input, run.model.get_layer("pool").output)
    batches = evaluation_batches(samples, run.loading)
    return np.concatenate([whole(pixels).numpy() for pixels, _, _ in batches])


@pytest.fixture(scope="module")
def bagged(tmp_path_factory):
    """A finished run of three heads on 32 images: 16 of them for training."""
    work = tmp_path_factory.mktemp("bagged")
    paint(work / "images", blue=16, red=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(work / "cache"))
        yield RECIPE.changed(data=str(work / "images")).run(out=work / "run", name="bagged")


def by_members(run, split):
    """(members, n, classes) probabilities by NumPy and the heads' own files, and true labels."""
    samples = run.samples([split])
    features = pooled(run, samples)
    heads = [keras.models.load_model(run.folder / f"members/{n}/best.keras") for n in (1, 2, 3)]
    return np.stack([softmax(head(features)["label"].numpy()) for head in heads]), samples.labels


def test_the_model_answers_the_mean_of_its_members(bagged):
    every, labels = by_members(bagged, "test")
    samples = bagged.samples(["test"])

    found = bagged.probabilities(samples)

    assert np.abs(every - every[0]).max() > 1e-3
    np.testing.assert_allclose(found, every.mean(axis=0), atol=1e-6)
    accuracy = np.mean(every.mean(axis=0).argmax(axis=1) == labels)
    assert bagged.metrics["test"]["accuracy"] == pytest.approx(accuracy)


def test_the_metrics_of_the_members_stand_beside_it(bagged):
    test, labels = by_members(bagged, "test")
    val, known = by_members(bagged, "val")

    accuracies = (test.argmax(axis=2) == labels).mean(axis=1)
    best = np.argmin([log_loss(known, one) for one in val])
    beside = bagged.metrics["baselines"]
    assert beside["members_mean"]["accuracies"] == pytest.approx(accuracies.tolist())
    assert beside["members_mean"]["accuracy"] == pytest.approx(accuracies.mean())
    assert beside["best_member"]["member"] == best + 1
    assert beside["best_member"]["log_loss"] == pytest.approx(
        log_loss(labels, test[best]),
        rel=1e-2,  # features are kept in float16
    )
    assert "\n  members_mean: accuracy " in bagged.report()
    assert "\n  best_member: accuracy " in bagged.report()


def test_every_image_is_gone_through_once_for_all_members(bagged):
    assert bagged.metadata["features"]["head"]["computed"] == 32


def test_the_run_folder_is_that_of_any_run(bagged):
    names = {path.name for path in bagged.folder.iterdir()}
    assert {"best.keras", "last.keras", "history.csv", "augmented.png", "members"} <= names
    assert "state.npz" not in {path.name for path in bagged.folder.rglob("*")}
    assert [(row["stage"], row["epoch"]) for row in bagged.history] == [
        (f"member{n}.head", epoch) for n in (1, 2, 3) for epoch in (1, 2)
    ]


def test_plain_keras_reads_the_model(bagged):
    code = f"""if True:
        import sys, keras, numpy
        model = keras.models.load_model({str(bagged.folder / "best.keras")!r})
        answers = model({{"pixels": numpy.zeros((2, 16, 16, 3), "float32")}})
        print({{name: tuple(logits.shape) for name, logits in answers.items()}})
        assert "keras_transfer" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'label': (2, 2)}"


QUICK = [("saved_model", "none")]
WAYS = [(form, quantize) for form, row in FORMATS.items() for quantize in row.quantizations]


@pytest.mark.parametrize(
    ("form", "quantize"),
    [pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow) for one in WAYS],
)
def test_it_exports_to_every_format(bagged, tmp_path, form, quantize):
    done = keras_transfer.export(bagged, tmp_path, format=form, quantize=quantize)

    assert done.metadata["parity"]["changed"] == 0
    images = str(bagged.folder.parent / "images/red")
    found = [one.probabilities for one in done.predict(images)]
    wanted = [one.probabilities for one in bagged.predict(images)]
    atol = {"none": 1e-5, "float16": 1e-2, "dynamic": 0.05, "int8": 0.1}[quantize]
    np.testing.assert_allclose(found, wanted, atol=atol)


def test_views_at_test_time(bagged):
    assert bagged.evaluate(tta="flip")["n"] == 8


@pytest.mark.parametrize(
    "settings",
    [
        {"cache": False, "stages": [{"name": "a", "epochs": 2}, {"name": "b", "epochs": 1}]},
        {"augment": {"horizontal_flip": True}, "views": 2, "mixup": 0.4},
        {"imbalance": "oversample", "precision": "mixed_bfloat16"},
        {"imbalance": "smote", "strategy": "one_device"},
        {"lr": "auto"},
    ],
    ids=["uncached", "views", "oversample", "smote", "auto"],
)
@pytest.mark.slow
def test_a_stopped_run_ends_as_if_never_stopped(tmp_path, monkeypatch, settings):
    """Stopped in the second member; and what is computed does not depend on how many there are."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images", blue=8, red=12)
    recipe = RECIPE.changed(method="bagging:2", **settings)
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "first"))
    whole = recipe.run(out="whole", name="tiny")

    class Stop(trainer.Progress):
        begun = 0

        def on_epoch_begin(self, epoch, logs=None):
            Stop.begun += 1
            if Stop.begun == len(whole.history):
                raise KeyboardInterrupt
            super().on_epoch_begin(epoch, logs)

    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "second"))
    with monkeypatch.context() as patched:
        patched.setattr(trainer, "Progress", Stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out="stopped", name="tiny")
    again = recipe.run(out="stopped", name="tiny", resume=True)

    assert again.history == whole.history
    for name in ("best.keras", "last.keras"):
        models = [keras.models.load_model(run.folder / name) for run in (whole, again)]
        for one, other in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_array_equal(one, other)
    assert again.metrics == whole.metrics
    views = 2 if "views" in settings else 1
    train = whole.split.read_text().count(",train,")
    computed = sum(stage["computed"] for stage in whole.metadata["features"].values())
    assert computed == 20 + (views - 1) * train


def trees_by_hand(run, seed):
    """Probabilities of the test split by scikit-learn alone, of the rounds that val chooses."""
    train, val, test = (run.samples([name]) for name in ("train", "val", "test"))
    trees = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
    trees.fit(pooled(run, train), train.labels)
    losses = [log_loss(val.labels, one) for one in trees.staged_predict_proba(pooled(run, val))]
    return [*trees.staged_predict_proba(pooled(run, test))][np.argmin(losses)], test.labels


def test_boosting_gives_the_metrics_of_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images", blue=48, red=48)
    run = TREES.changed(imbalance="none").run(out="run", name="tiny")

    found, labels = trees_by_hand(run, seeds.stream(0, "members"))
    metrics = run.metrics["baselines"]["boosted_trees"]
    assert metrics["accuracy"] == np.mean(found.argmax(axis=1) == labels)
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, found), rel=0.05)
    assert "\n  boosted_trees: accuracy " in run.report()
    assert [row["stage"] for row in run.history] == ["head", "head"]


@pytest.mark.slow
def test_boosting_learns_from_the_pretrained_features_whatever_is_tuned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images", blue=40, red=40)
    base = TREES
    frozen = base.run(out="frozen", name="tiny").metrics
    tuned = base.changed(stages=TUNED).run(out="tuned", name="tiny").metrics
    at_once = base.changed(stages=TUNED[1:]).run(out="at_once", name="tiny").metrics

    for other in (tuned, at_once):
        assert other["baselines"]["boosted_trees"] == frozen["baselines"]["boosted_trees"]
        assert other["test"]["log_loss"] != frozen["test"]["log_loss"]


@pytest.mark.slow
def test_a_failed_baseline_does_not_lose_the_run(tmp_path, monkeypatch):
    """Where nothing fits, neither on disk nor in memory, boosting has nothing to learn from."""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KT_CACHE_GB", "0")
    monkeypatch.setattr(extractor, "fits", lambda size: False)
    paint(tmp_path / "images")
    run = TREES.run(out="run", name="tiny")

    assert "no room" in run.metrics["baselines"]["boosted_trees"]["error"]
    assert "boosted_trees: failed" in run.report()
    assert json.loads((run.folder / "run.json").read_text())["status"] == "done"


def test_a_draw_keeps_the_classes_as_large_as_they_are():
    labels = np.array([0, 1, 0, 0, 2, 0, 1, 0])

    draws = [bootstrap(labels, seed) for seed in range(50)]

    for places in draws:
        np.testing.assert_array_equal(labels[places], labels)
    assert len({tuple(places) for places in draws}) > 40
    assert {int(place) for places in draws for place in places} == set(range(8))
