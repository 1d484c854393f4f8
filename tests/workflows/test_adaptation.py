"""Runs that adapt to a target domain, on small images of two colours."""

import logging
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from darkened import darken
from html_pages import Page
from PIL import Image
from processes import paint
from scipy.special import softmax
from sklearn.metrics import accuracy_score
from stops import Stop
from tiny import RECIPE

from keras_transfer import BadConfiguration, BadData, Classify, Head, Split, Stage, export, load
from keras_transfer.csv_cells import read_cells
from keras_transfer.reports.writing import write_report

ADAPTED = RECIPE.changed(
    head=Head(units=(8,)),
    stages=(Stage("head", epochs=2, learning_rate=0.01),),
    method={"type": "deep_coral", "target_data": "target", "keep": "adapted"},
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    paint(folder / "images")
    darken(folder / "target", folder / "images")
    darken(folder / "unlabelled", folder / "images", labelled=False)
    return folder


@pytest.fixture(autouse=True)
def beside_the_images(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("KT_CACHE_DIR", str(home / "cache"))


@pytest.fixture(scope="module")
def run(home):
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        patched.setenv("KT_CACHE_DIR", str(home / "cache"))
        return ADAPTED.run(out="run", name="adapted")


def weights(run, name="best.keras"):
    return keras.models.load_model(run.folder / name).get_weights()


def assert_same_model(run, other, name="best.keras"):
    for one, two in zip(weights(run, name), weights(other, name), strict=True):
        np.testing.assert_array_equal(one, two)


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        header, *found = read_cells(file)
        return [dict(zip(header, row, strict=True)) for row in found]


def test_the_report_has_both_models_on_the_target(run):
    page = Page(write_report(run.folder).read_text("utf-8")).check()
    document = run.metrics["adaptation"]
    assert "deep_coral, on 24 labelled examples of the target" in page.said
    assert f"by {100 * document['difference']:+.1f} points" in page.said
    assert "On 24 examples of the target domain the adapted model is right on" in page.said
    for name in ("source_only", "adapted"):
        accuracy = document["target"][name]["accuracy"]
        title, value = name.replace("_", " "), document["values"][name]
        assert f"{title} {value:.4g} {100 * accuracy:.1f} %" in page.said
    assert "The run keeps the epoch with the best val_information_maximization" in page.said


def test_metrics_of_the_target_stand_beside_those_without_adaptation(run):
    document, plain = run.metrics["adaptation"], load(run.folder / "source_only")
    assert document["examples"] == 24
    assert {*document["target"]} == {"adapted", "source_only"}
    assert run.metrics["target"] == document["target"]["adapted"]
    assert run.metrics["baselines"]["source_only"] == plain.metrics["test"]
    # By scikit-learn, from the file of predictions, and by the model from the images.
    table = rows(run.folder / "predictions_target.csv")
    true, named = ([row[name] for row in table] for name in ("true", "predicted"))
    assert run.metrics["target"]["accuracy"] == accuracy_score(true, named)
    for model, found in ((run, named), (plain, None)):
        predictions = [one.label for one in model.predict([row["path"] for row in table])]
        assert found in (None, predictions)
        name = "adapted" if model is run else "source_only"
        assert document["target"][name]["accuracy"] == accuracy_score(true, predictions)
    assert "Target domain: 24 labelled examples; deep_coral" in run.report()


def test_the_criterion_of_an_epoch_is_that_of_its_model(run):
    """H(mean p) - mean H(p) of the last epoch's model, by numpy."""
    last = keras.models.load_model(run.folder / "last.keras")
    paths = [row["path"] for row in rows(run.folder / "predictions_target.csv")]
    batch = np.stack(
        [np.asarray(Image.open(path).resize((16, 16), Image.Resampling.BILINEAR)) for path in paths]
    )
    p = softmax(last.predict({"pixels": batch.astype("float32")}, verbose=0)["label"], axis=1)
    mean = p.mean(0)
    by_hand = -(mean * np.log(mean)).sum() + (p * np.log(p)).sum(1).mean()
    # The image is resized by another library here.
    assert run.history[-1]["val_information_maximization"] == pytest.approx(by_hand, abs=0.02)


def test_the_best_epoch_is_the_criterions(run):
    values = [row["val_information_maximization"] for row in run.history]
    oracle = run.metrics["adaptation"]["oracle"]
    assert oracle["chosen"]["epoch"] == 1 + int(np.argmax(values))
    accuracies = [row["target_accuracy"] for row in run.history]
    assert oracle["by_labels"]["target_accuracy"] == max(accuracies)


def test_what_is_worse_without_labels_is_not_kept(home, caplog):
    """By the source alone, after training on the distance alone."""
    more = {"choose_by": "source", "weight": 1e6}
    run = ADAPTED.run(out="worse", method={**more, "keep": "better"}, name="adapted")
    found, plain = run.metrics["adaptation"], load(run.folder / "source_only")

    assert found["kept"] == "source_only"
    assert found["values"]["adapted"] < found["values"]["source_only"]
    assert_same_model(run, plain)
    assert run.metrics["test"] == plain.metrics["test"]
    assert run.metrics["target"] == found["target"]["source_only"]
    assert "did not help, so the model without adaptation is kept" in caplog.text

    kept = ADAPTED.run(out="kept", method=more, name="adapted")
    assert kept.metrics["adaptation"]["kept"] == "adapted"
    assert kept.metrics["adaptation"]["values"] == found["values"]
    with pytest.raises(AssertionError):
        assert_same_model(kept, plain)


@pytest.mark.parametrize(
    "choose_by",
    ["information_maximization", pytest.param("deep_embedded", marks=pytest.mark.slow)],
)
def test_labels_of_the_target_change_nothing(home, choose_by):
    """The same images with labels in another order give the same model, bit for bit."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (40, 16, 16, 3), "uint8")
    y = np.array(["blue", "red"])[np.arange(40) % 2]
    found = []
    for number, labels in enumerate((y, rng.permutation(y))):
        np.savez(f"{choose_by}{number}.npz", x=x, y=labels)
        method = {"target_data": f"{choose_by}{number}.npz", "choose_by": choose_by}
        found.append(ADAPTED.run(out=f"{choose_by}{number}", method=method, name="adapted"))
    for name in ("best.keras", "last.keras"):
        assert_same_model(*found, name)
    one, two = ([{**row, "target_accuracy": 0} for row in run.history] for run in found)
    assert one == two
    assert found[0].metrics["target"] != found[1].metrics["target"]


def test_a_target_without_labels(home):
    run = ADAPTED.run(out="unknown", method={"target_data": "unlabelled"}, name="adapted")
    table = rows(run.folder / "predictions_target.csv")

    assert {row["true"] for row in table} == {""}
    assert len(table) == 24
    assert "target" not in run.metrics
    assert run.metrics["adaptation"]["oracle"] == {}
    assert "target_accuracy" not in run.history[0]
    assert "Target domain: 24 examples; deep_coral" in run.report()


def test_some_labels_of_the_target_are_used(home):
    method = {"target_labels": 2}
    run = ADAPTED.run(out="few", method=method, batch_size=8, seed=3, name="adapted")
    used = [row["path"] for row in rows(run.folder / "target.csv") if row["use"] == "labelled"]

    assert sorted(path.split("/")[1] for path in used) == ["blue", "blue", "red", "red"]
    judged = {row["path"] for row in rows(run.folder / "predictions_target.csv")}
    assert len(judged) == 20
    assert not judged & {*used}
    with pytest.raises(BadData, match="fewer target examples"):
        ADAPTED.run(out="many", method={"target_labels": 13}, batch_size=8, name="adapted")


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        ({"target_data": None}, BadConfiguration, "none is given"),
        ({"target_data": "targets"}, BadData, "Did you mean target"),
        ({"target_data": "other"}, BadData, r"lacks.*both are: red"),
        ({"target_data": "images"}, BadConfiguration, "so is the source"),
        ({"target_data": "copies"}, BadData, "has 0 examples of its own"),
        ({"target_data": "unlabelled", "target_labels": 1}, BadData, "has no labels"),
    ],
)
def test_a_target_that_cannot_be_used(home, method, error, message):
    if not (home / "other").exists():
        paint(home / "other", red=2, green=2)
        shutil.copytree(home / "images", home / "copies")
    out = home / f"refused{sorted(method.items())}"
    with pytest.raises(error, match=message):
        ADAPTED.run(out=out, method=method, batch_size=8, name="adapted")
    assert not (out / "best.keras").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "multilabel"}, "single classification"),
        ({"mixup": 0.2}, "blend the domains"),
        ({"batch_size": 6, "method": {"target_labels": 1}}, "multiple of 4"),
        ({"batch_size": 2}, "from 4 on"),
        ({"method": {"type": "adabn", "target_labels": 1}}, "cannot use labels"),
        ({"head": {"units": ()}}, "Add a hidden layer"),
        ({"monitor": "val_label_accuracy"}, "choose_by"),
    ],
)
def test_settings_that_exclude_adaptation(changes, message):
    with pytest.raises(BadConfiguration, match=message):
        ADAPTED.changed(**changes)


@pytest.mark.slow
def test_stored_features_train_as_the_full_network_does(home):
    """A frozen part that runs once gives the epochs of a network that runs in each of them."""
    stages = [{"name": "tune", "epochs": 2, "unfreeze": "block3", "learning_rate": 1e-3}]
    cut, full = (
        ADAPTED.run(out=f"engine_{engine}", stages=stages, engine=engine, name="adapted")
        for engine in ("keras", "none")
    )
    for one, two in zip(cut.history, full.history, strict=True):
        assert one.pop("stage") == two.pop("stage") == "tune"
        assert one == pytest.approx(two, abs=0.02)


def stopped(out, words, **changes):
    """Interrupt a run at a line of its log."""
    logger, stop = logging.getLogger("keras_transfer"), Stop(words)
    level = logger.level
    logger.addHandler(stop)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            ADAPTED.run(out=out, name="adapted", **changes)
    finally:
        logger.removeHandler(stop)
        logger.setLevel(level)


# The model without adaptation is trained first, and has epochs of these names too.
@pytest.mark.parametrize(
    "words",
    [pytest.param("head 1/2", marks=pytest.mark.slow), "head 1/2  alignment", "Accuracy on"],
)
def test_a_stopped_run_goes_on_to_the_same_model(run, home, words):
    out = f"stopped {words}"
    stopped(out, words)
    resumed = ADAPTED.run(out=out, resume=True, name="adapted")

    assert resumed.history == run.history
    assert resumed.metrics == run.metrics
    for name in ("best.keras", "last.keras"):
        assert_same_model(resumed, run, name)


def test_a_resumed_run_wants_the_same_target(home):
    darken(home / "changing", home / "images", labelled=False)
    stopped("changed", "head 1/2  alignment", method={"target_data": "changing"})
    (home / "changing" / "0.png").unlink()
    with pytest.raises(BadData, match="not the one that the run"):
        ADAPTED.run(out="changed", resume=True, name="adapted")


def test_the_export_answers_as_the_kept_model(run, home):
    table = rows(run.folder / "predictions_target.csv")
    served = tf.saved_model.load(str(export(run, "export").folder)).signatures["serving_default"]
    answers = served(tf.constant([Path(row["path"]).read_bytes() for row in table]))
    scores = next(value.numpy() for value in answers.values() if value.dtype == tf.float32)
    expected = [[float(row[f"p:{name}"]) for name in ("blue", "red")] for row in table]
    # Those of the file come from stored features, which are float16.
    np.testing.assert_allclose(scores, expected, atol=5e-3)


@pytest.fixture(scope="module")
def statistics(home):
    """A run whose statistics of batch normalization are those of the target."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        patched.setenv("KT_CACHE_DIR", str(home / "cache"))
        method = {"type": "adabn", "target_data": "target", "keep": "adapted"}
        return RECIPE.changed(method=method).run(out="adabn", name="adabn")


def test_statistics_are_those_of_the_target(statistics):
    """The mean of what the first convolution gives for all target images, by numpy."""
    model = statistics.model.get_layer("backbone")
    convolution = keras.Model(model.input, model.get_layer("block1_conv1").output)
    table = rows(statistics.folder / "target.csv")
    raw = tf.data.Dataset.from_tensor_slices([Path(row["path"]).read_bytes() for row in table])
    pixels = np.stack([one["pixels"] for one in raw.map(statistics.loading.input.load)])
    maps = convolution.predict(pixels / np.float32(127.5) - 1, verbose=0)
    layer = model.get_layer("block1_bn1")
    np.testing.assert_allclose(layer.moving_mean, maps.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, maps.var((0, 1, 2)), rtol=1e-3)


@pytest.mark.slow
def test_the_head_was_trained_with_statistics_of_the_source(statistics):
    """All kernels of the backbone are the pretrained ones; the head is not that of the baseline."""
    plain = load(statistics.folder / "source_only")
    for one, two in zip(statistics.model.weights, plain.model.weights, strict=True):
        assert one.path == two.path
        same = np.array_equal(one.numpy(), two.numpy())
        assert same == ("moving" not in one.path and "logits" not in one.path)
    assert statistics.metrics["adaptation"]["kept"] == "adapted"
    assert {*statistics.metrics["adaptation"]["target"]} == {"adapted", "source_only"}
    # The best epoch is chosen by the source.
    assert "val_information_maximization" not in statistics.history[0]


def test_a_network_without_batch_normalization_is_refused_before_it_is_trained(home):
    recipe = RECIPE.changed(
        backbone="vgg16", image_size=32, method={"type": "adabn", "target_data": "target"}
    )
    with pytest.raises(BadConfiguration, match="no batch normalization"):
        recipe.run(out="without", name="adabn")
    assert not (home / "without" / "source_only").exists()


@pytest.mark.parametrize(
    "stage", [pytest.param({"unfreeze": "all"}, id="all", marks=pytest.mark.slow), {}]
)
def test_texts_adapt_too(home, tmp_path, stage):
    """The vocabulary is that of the source; the target's texts need no labels."""
    source = [f"{word} film {n}\t{word}" for n in range(12) for word in ("good", "bad")]
    target = [f"{word} book {n}" for n in range(9) for word in ("good", "bad")]
    (tmp_path / "source.tsv").write_text("text\tlabel\n" + "\n".join(source) + "\n")
    (tmp_path / "target.tsv").write_text("text\n" + "\n".join(target) + "\n")
    recipe = Classify(
        data=str(tmp_path / "source.tsv"),
        backbone="transformer_tiny",
        length=8,
        batch_size=4,
        split=Split(val=0.25, test=0.25),
        head=Head(units=(8,)),
        stages=[{"name": "tune", "epochs": 2, "learning_rate": 1e-3, **stage}],
        method={"type": "dan", "target_data": str(tmp_path / "target.tsv"), "keep": "adapted"},
    )
    run = recipe.run(out=tmp_path / "run", name="texts")

    table = rows(run.folder / "predictions_target.csv")
    assert len(table) == 18
    answers = [one.label for one in run.predict([text for text in target])]
    assert answers == [row["predicted"] for row in table]
    method = {"type": "adabn", "target_data": str(tmp_path / "target.tsv")}
    with pytest.raises(BadConfiguration, match="no batch normalization"):
        recipe.run(out=tmp_path / "adabn", method=method, name="texts")
