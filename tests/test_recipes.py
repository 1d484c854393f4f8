"""Whole runs of our recipes, on the digits and on real images."""

import json

import numpy as np
import pytest
from objectives_runs import PRICE, paint_table
from processes import kt, paint

import keras_transfer
from keras_transfer import catalog
from keras_transfer.evaluation.predictions import read_predictions

NAMES = sorted(catalog.modules())


def run_in(folder, name, *words, **kwargs):
    """A recipe from the command line; the JSON document it prints."""
    return json.loads(kt("run", name, "--json", *words, cwd=folder, check=0).stdout)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is_and_what_it_needs(name):
    text = catalog.find(name).__doc__
    assert text.splitlines()[0].endswith(".")
    assert len(text.splitlines()[0]) <= 100
    assert "Data:" in text


SMALL = (
    "--backbone", "convnet_small", "--weights", "none", "--image-size", 16, "--batch-size", 8,
    "--set", "stages=[{name: all, epochs: 1, unfreeze: all}]",
)  # fmt: skip


@pytest.mark.slow
def test_the_recipe_of_several_outputs_on_a_table(tmp_path):
    table = paint_table(tmp_path)
    document = run_in(
        tmp_path, "efficientnet_b0_outputs", "--data", table, *SMALL,
        "--set", f"objective={{colour: classification, {PRICE}: {{type: regression}}}}",
    )  # fmt: skip

    assert set(document["metrics"]["test"]) >= {"colour", PRICE}
    alone = document["baselines"][f"single_task_{PRICE}"]
    assert alone["n"] == document["metrics"]["test"][PRICE]["n"]
    assert set(document["baselines"]["single_task_colour"]) >= {"accuracy", "macro_f1"}


@pytest.mark.slow
def test_the_recipe_of_a_student_on_a_run(tmp_path):
    paint(tmp_path / "data", red=10, green=10, blue=10)
    run_in(tmp_path, "resnet50_folder", "--out", "runs/teacher", *SMALL)
    document = run_in(tmp_path, "mobilenet_v2_student", *SMALL, "--set", "variant={}")

    run = keras_transfer.load(tmp_path / document["run"])
    assert run.settings["method"]["teacher"] == "run:runs/teacher"
    assert "without_teacher" in document["baselines"]


@pytest.mark.slow
def test_digits_transfer_beats_training_from_scratch(tmp_path):
    """The first command of the README; the source recipe runs first, since it never was."""
    document = run_in(tmp_path, "digits")

    transfer = document["metrics"]["test"]["accuracy"]
    scratch = document["baselines"]["scratch"]["accuracy"]
    assert transfer >= scratch + 0.05
    assert document["seconds"]["total"] < 180
    assert (tmp_path / "runs/digits_source/1/best.keras").exists()
    split = (tmp_path / "runs/digits/1/split.csv").read_text()
    assert split.count(",train,") == 50
    assert [split.count(f",{digit},train,") for digit in "56789"] == [10] * 5


@pytest.mark.slow
def test_vgg16_on_real_cats_and_dogs_end_to_end(tmp_path, shared_data):
    document = run_in(
        tmp_path, "vgg16_catsdogs", "--data", shared_data / "cats_dogs", "--weights", "none",
        "--limit", 60, "--image-size", 48, "--epochs", 1,
    )  # fmt: skip

    assert document["metrics"]["test"]["n"] == 14
    assert [row["stage"] for row in keras_transfer.load(tmp_path / document["run"]).history] == [
        "head",
        "block5",
    ]


@pytest.mark.slow
def test_resnet50_on_real_cifar10_end_to_end(tmp_path, shared_data):
    archive = shared_data / "cifar10_subset/cifar10_5000_1000.npz"
    document = run_in(
        tmp_path, "resnet50_cifar10", "--data", archive, "--weights", "none",
        "--limit", 120, "--image-size", 32, "--epochs", 1,
    )  # fmt: skip

    run = keras_transfer.load(tmp_path / document["run"])
    assert run.classes[0] == "airplane"
    assert len(run.metrics["test"]["per_class"]) == 10


@pytest.fixture(scope="module")
def catsdogs(tmp_path_factory, shared_data, shared_weights):
    """MobileNetV2 with real weights on a part of the real images; a minute and a half."""
    from recipes import mobilenet_v2_catsdogs

    folder = tmp_path_factory.mktemp("catsdogs")
    return mobilenet_v2_catsdogs.run(
        data=str(shared_data / "cats_dogs"),
        weights=str(shared_weights / "mobilenet_v2_0.35_224_no_top.weights.h5"),
        variant={"alpha": 0.35},
        image_size=128,
        limit=600,
        epochs=2,
        out=folder / "run",
    )


@pytest.mark.slow
def test_real_weights_transfer_to_real_images(catsdogs):
    assert catsdogs.metrics["test"]["accuracy"] > 0.85
    assert catsdogs.metrics["baselines"]["majority"]["accuracy"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_metrics_can_be_worked_out_again_from_the_predictions_file(catsdogs):
    """By scikit-learn, from nothing but the file."""
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

    saved = read_predictions(catsdogs.folder / "predictions.csv")
    predicted = saved.probabilities.argmax(axis=1)
    metrics = catsdogs.metrics["test"]

    assert metrics["accuracy"] == accuracy_score(saved.true, predicted)
    assert metrics["macro_f1"] == pytest.approx(f1_score(saved.true, predicted, average="macro"))
    assert metrics["log_loss"] == pytest.approx(log_loss(saved.true, saved.probabilities))
    assert metrics["confusion_matrix"] == {
        "classes": ["cat", "dog"],
        "counts": confusion_matrix(saved.true, predicted).tolist(),
    }


def test_predict_gives_what_the_evaluation_gave(catsdogs):
    saved = read_predictions(catsdogs.folder / "predictions.csv")

    for one, expected in zip(catsdogs.predict(saved.keys[:5]), saved.probabilities, strict=False):
        assert np.allclose(one.probabilities, expected, atol=1e-3)


@pytest.mark.slow
def test_no_example_of_the_test_split_is_in_another(catsdogs):
    import csv

    with (catsdogs.folder / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    digests = {
        split: {r["digest"] for r in rows if r["split"] == split}
        for split in ("train", "val", "test")
    }
    assert all("/test/" in row["path"] for row in rows if row["split"] == "test")
    assert not digests["test"] & (digests["train"] | digests["val"])


@pytest.mark.slow
def test_mobilenet_v2_reaches_97_percent_of_real_cats_and_dogs(
    tmp_path, shared_data, shared_weights
):
    document = run_in(
        tmp_path, "mobilenet_v2_catsdogs", "--data", shared_data / "cats_dogs",
        "--weights", shared_weights / "mobilenet_v2_1.0_224_no_top.weights.h5",
    )  # fmt: skip

    assert document["metrics"]["test"]["n"] == 500
    assert document["metrics"]["test"]["accuracy"] >= 0.97
