"""Runs whose learner is fitted to adapted features: metrics of the target, exports, refusals."""

import csv
import json
import logging
import shutil

import numpy as np
import pytest
from PIL import Image
from processes import paint

import keras_transfer
from keras_transfer import BadConfiguration, BadData, Classify, FeatureExtraction, Split
from keras_transfer.evaluation.predictions import read_predictions
from keras_transfer.methods.feature_adaptation import CORAL, TCA

RECIPE = FeatureExtraction(
    data="images",
    backbone="convnet_small",
    weights="none",
    image_size=16,
    batch_size=4,
    split=Split(val=0.25, test=0.25),
    engine="keras",
    engine_error=0,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    paint(folder, blue=16, red=16, green=12)
    return folder


def rewritten(source, folder, change):
    """The images of a folder, each pixel changed."""
    for path in sorted(source.rglob("*.png")):
        new = folder / path.relative_to(source)
        new.parent.mkdir(parents=True, exist_ok=True)
        pixels = change(np.asarray(Image.open(path)).astype(float))
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(new)
    return folder


@pytest.fixture(scope="module")
def target(source, tmp_path_factory):
    """The same images with two fifths of the contrast."""
    return rewritten(source, tmp_path_factory.mktemp("target"), lambda pixels: 0.4 * pixels + 90)


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def runs(source, target, tmp_path_factory):
    """A run of each method that is asked for."""
    home, made = tmp_path_factory.mktemp("runs"), {}

    def run(name):
        if name not in made:
            method = {"type": name, "target_data": str(target), "keep": "adapted"}
            recipe = RECIPE.changed(data=str(source), method=method)
            made[name] = recipe.run(out=home / name, name="features")
        return made[name]

    return run


def weights_of(run):
    return [*map(np.asarray, run.model.get_weights())]


def test_what_contrast_costs_is_won_back(runs):
    run = runs("coral")
    found = run.metrics["adaptation"]
    adapted, plain = (found["target"][name]["accuracy"] for name in ("adapted", "source_only"))

    assert found["method"] == "coral"
    assert plain < 0.8
    assert adapted > plain + 0.15
    assert found["difference"] == pytest.approx(adapted - plain)
    low, high = found["interval"]
    assert 0 < low < adapted - plain < high
    assert run.metrics["target"] == found["target"]["adapted"]
    assert run.metrics["target"]["n"] == found["examples"] == 44
    assert run.metrics["baselines"]["source_only"]["n"] == run.metrics["test"]["n"] == 11


def test_metrics_of_the_target_follow_from_the_file_of_predictions(runs, target):
    run = runs("coral")
    saved = read_predictions(run.folder / "predictions_target.csv")

    right = saved.probabilities.argmax(axis=1) == saved.true
    assert right.mean() == run.metrics["target"]["accuracy"]
    told = run.predict([str(target / "red/3.png")])[0].probabilities
    row = [*saved.keys].index(str(target / "red/3.png"))
    assert told == pytest.approx(saved.probabilities[row], abs=1e-5)


@pytest.mark.parametrize("name", ["tca", "coral"])
def test_evaluation_and_export_take_every_example_for_one_of_the_target(name, runs, tmp_path):
    """What ``evaluate`` says of the source's test split is what the run said of it."""
    run = runs(name)
    samples = run.samples(["test"])
    again = run.metrics_of(samples, run.scores(samples))["label"]
    export = keras_transfer.export(run, tmp_path / "export")
    key = str(samples.keys[0])

    assert again["accuracy"] == run.metrics["test"]["accuracy"]
    assert again["log_loss"] == pytest.approx(run.metrics["test"]["log_loss"], rel=1e-3)
    (ours,), (theirs,) = run.predict([key]), keras_transfer.Export(export.folder).predict([key])
    assert theirs.scores["label"] == pytest.approx(ours.scores["label"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["litert", "onnx", "keras"])
@pytest.mark.parametrize("name", ["jda", "domain_standardization"])
def test_it_is_exported_in_every_format(name, format, runs, tmp_path):
    """An export is written only if it answers as the model does."""
    assert keras_transfer.export(runs(name), tmp_path / "export", format=format).folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["subspace_alignment", "kliep", "kmm"])
def test_further_methods_run(name, runs):
    found = runs(name).metrics["adaptation"]

    assert found["method"] == name
    assert 0 <= found["target"]["adapted"]["accuracy"] <= 1


def table_of(folder, path, labels=None, swap=False):
    """A table of the images of a folder, with labels if some are given or swapped."""
    rows = sorted((str(file), file.parent.name) for file in folder.rglob("*.png"))
    names = [name for _, name in rows]
    names = np.random.default_rng(5).permutation(names) if swap else names
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"] if labels is not False else ["path"])
        for (key, _), name in zip(rows, names, strict=True):
            writer.writerow([key, name] if labels is not False else [key])
    return str(path)


def test_labels_of_the_target_do_not_touch_the_model(source, target, tmp_path):
    """JDA assigns classes to target rows itself."""
    right, wrong = (
        RECIPE.run(
            str(source),
            transform={
                "type": "jda",
                "target_data": table_of(target, tmp_path / f"{swap}.csv", swap=swap),
                "keep": "adapted",
            },
            out=tmp_path / str(swap),
            name="features",
        )
        for swap in (False, True)
    )
    for one, same in zip(weights_of(right), weights_of(wrong), strict=True):
        assert np.array_equal(one, same)
    assert wrong.metrics["target"] != right.metrics["target"]
    assert wrong.metrics["adaptation"]["values"] == right.metrics["adaptation"]["values"]


def test_an_interrupted_run_ends_as_one_that_was_not(runs, source, target, tmp_path, monkeypatch):
    from keras_transfer.workflows import learning

    method = {"type": "coral", "target_data": str(target), "keep": "adapted"}
    recipe = RECIPE.changed(data=str(source), method=method)

    def stop(path, model):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(learning, "save_model", stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out=tmp_path / "run", name="features")
    resumed = recipe.run(out=tmp_path / "run", name="features", resume=True)

    for name in ("predictions.csv", "predictions_target.csv"):
        wanted = (runs("coral").folder / name).read_bytes()
        assert (resumed.folder / name).read_bytes() == wanted
    for one, same in zip(weights_of(resumed), weights_of(runs("coral")), strict=True):
        assert np.array_equal(one, same)


def test_a_few_labels_are_learnt_from_and_what_the_source_has_too_is_left_out(
    source, target, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "keras_transfer")
    mixed = rewritten(target, tmp_path / "mixed", lambda pixels: pixels)
    (mixed / "red/extra.png").write_bytes((source / "red/0.png").read_bytes())
    (mixed / "red/again.png").write_bytes((mixed / "red/1.png").read_bytes())
    (mixed / "red/broken.png").write_bytes(b"no image")
    method = CORAL(target_data=str(mixed), target_labels=3)
    run = RECIPE.run(str(source), transform=method, out=tmp_path / "run", name="features")

    saved = read_predictions(run.folder / "predictions_target.csv")
    assert np.bincount(saved.true).tolist() == [13, 9, 13]
    assert run.metrics["target"]["n"] == 35
    said = "left out: 1 that cannot be used, 1 copies, 1 that the source has too"
    assert said in caplog.text


def test_a_class_that_the_source_lacks_is_refused_before_anything_is_fitted(
    source, target, tmp_path
):
    other = rewritten(target, tmp_path / "other", lambda pixels: pixels)
    (other / "green").rename(other / "yellow")
    method = CORAL(target_data=str(other))
    with pytest.raises(BadData, match=r"lacks.*Leave them out, or add them to") as error:
        RECIPE.run(str(source), method=method, out=tmp_path / "run", name="features")

    assert error.value.offenders == ["yellow (12)"]
    assert not (tmp_path / "run/history.csv").exists()


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        ({}, BadConfiguration, "--target-data DIR"),
        ({"target_data": "nowhere"}, BadData, "nowhere"),
        ({"target_data": "{images}/"}, BadConfiguration, "and so is the source"),
    ],
)
def test_a_target_that_is_not_there_is_refused_before_the_data_are_read(
    method, error, message, tmp_path
):
    (tmp_path / "images").mkdir()  # empty, which reading would refuse
    method = {name: value.format(images=tmp_path / "images") for name, value in method.items()}
    recipe = RECIPE.changed(method={"type": "tca", **method})
    with pytest.raises(error, match=message):
        recipe.run(str(tmp_path / "images"), out=tmp_path / "run", name="features")


@pytest.mark.parametrize(
    ("labels", "method", "message"),
    [
        (None, {"target_labels": 13}, "fewer target examples.*green: 12"),
        (False, {"target_labels": 1}, "has no labels"),
    ],
)
def test_labels_that_are_not_there_are_refused(labels, method, message, source, target, tmp_path):
    table = table_of(target, tmp_path / "table.csv", labels=labels)
    recipe = RECIPE.changed(method={"type": "tca", "target_data": table, **method})
    with pytest.raises(BadData, match=f"(?s){message}"):
        recipe.run(str(source), out=tmp_path / "run", name="features")


def test_labels_of_all_target_examples_are_refused(source, target, tmp_path):
    for name in ("red", "green", "blue"):
        (tmp_path / "few" / name).mkdir(parents=True)
        for file in ("0.png", "1.png"):
            (tmp_path / "few" / name / file).write_bytes((target / name / file).read_bytes())
    recipe = RECIPE.changed(method=TCA(target_data=str(tmp_path / "few"), target_labels=2))
    with pytest.raises(BadData, match="target_labels = 2 uses all target examples"):
        recipe.run(str(source), out=tmp_path / "run", name="features")


def test_nothing_is_left_of_the_source_itself(source, tmp_path):
    shutil.copytree(source, tmp_path / "copies")
    recipe = RECIPE.changed(method=TCA(target_data=str(tmp_path / "copies")))
    with pytest.raises(BadData, match="has 0 examples of its own"):
        recipe.run(str(source), out=tmp_path / "run", name="features")


@pytest.mark.parametrize(
    "criterion",
    [
        "source",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("reverse_validation", "importance_weighted", "deep_embedded")
        ),
    ],
)
def test_the_model_without_adaptation_is_kept_where_it_seems_better(
    criterion, source, target, tmp_path, caplog
):
    method = {"type": "jda", "target_data": str(target), "choose_by": criterion}
    run = RECIPE.run(str(source), method=method, out=tmp_path / "run", name="features")
    found = run.metrics["adaptation"]
    values, baselines = found["values"], run.metrics["baselines"]
    kept = "adapted" if values["adapted"] > values["source_only"] else "source_only"

    assert found["kept"] == kept
    assert run.metrics["target"] == found["target"][kept]
    assert ("Warning" in caplog.text) == (kept == "source_only")
    if criterion == "source":  # perfect without JDA
        assert values["source_only"] == 1
        assert kept == "source_only"
        assert run.metrics["test"]["accuracy"] == baselines["source_only"]["accuracy"]
        assert "transform" not in {layer.name for layer in run.model.layers}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "kmm", "learner": "knn"}, "takes no weights"),
        (
            {"method": "tca", "fuse": "vgg16=none", "fusion": "probabilities"},
            "Use fusion = features",
        ),
        ({"method": "bagging:2"}, "knows the labels only"),
        ({"method": {"type": "coral", "n_components": 3}}, "tca or jda or subspace_alignment"),
        ({"method": {"type": "coral", "shrinkage": 2}}, "shrinkage"),
        ({"method": "tca", "transform": "coral"}, "give one of them"),
        ({"transform": "tda"}, "Did you mean 'tca'"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(BadConfiguration, match=message):
        RECIPE.changed(**changes)


def test_transform_is_another_word_for_method():
    settings = {"data": "d", "backbone": "vgg16"}
    words = TCA(n_components=5), "tca", {"type": "tca", "n_components": 5}
    found = [FeatureExtraction(transform=word, **settings).method for word in words]

    assert [method.n_components for method in found] == [5, None, 5]
    assert {method.type for method in found} == {"tca"}
    again = RECIPE.changed(transform="tca", n_components=7).changed(transform="coral")
    assert again.method == CORAL()
    assert "transform" not in again.settings()


def test_layers_that_train_do_not_take_transformed_features():
    with pytest.raises(BadConfiguration, match=r"method = coral.* Use FeatureExtraction"):
        Classify(data="d", backbone="vgg16", method="coral")


@pytest.mark.slow
def test_texts_without_labels_are_adapted_to(tmp_path):
    rows = [f"{word} film {n}\t{label}" for n in range(12) for label, word in enumerate("ab")]
    (tmp_path / "films.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    books = [f"{word} book {n}" for n in range(12) for word in "ab"]
    (tmp_path / "books.tsv").write_text("text\n" + "\n".join(books) + "\n")
    recipe = FeatureExtraction(
        data=str(tmp_path / "films.tsv"),
        backbone="transformer_tiny",
        length=8,
        split=Split(val=0.25, test=0.25),
        transform=CORAL(target_data=str(tmp_path / "books.tsv")),
    )
    run = recipe.run(out=tmp_path / "run", name="texts")
    found = run.metrics["adaptation"]

    assert found["examples"] == 24
    assert not {"target", "difference"} & {*run.metrics, *found}
    assert set(found["values"]) == {"adapted", "source_only"}
    assert run.predict(["a book 3"])[0].top(1)[0][0] in ("0", "1")


@pytest.mark.slow
def test_features_of_several_networks_are_transformed_together(source, target, tmp_path):
    recipe = RECIPE.changed(
        data=str(source),
        image_size=32,
        backbone="mobilenet_v2",
        variant={"alpha": 0.35},
        fuse="vgg16=none",
        transform={"type": "tca", "target_data": str(target), "n_components": 9},
    )
    run = recipe.run(out=tmp_path / "run", name="fused")

    assert run.model.get_layer("transform").kernel.shape == (1280 + 512, 9)
    assert {"mobilenet_v2 alpha=0.35", "vgg16", "source_only"} <= set(run.metrics["baselines"])
    assert keras_transfer.export(run, tmp_path / "export").folder.exists()


def test_metrics_are_written_with_those_of_the_source(runs):
    document = json.loads((runs("tca").folder / "metrics.json").read_text())

    assert set(document) == {"val", "test", "baselines", "target", "adaptation"}
    assert "source_only" in runs("tca").report()
