"""Reports on two domains, from tiny runs on synthetic images and from numbers by hand."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from processes import COLOURS

from keras_transfer import BadConfiguration, BadData, Classify, Head, Split, Stage
from keras_transfer.catalog import AUTO, find
from keras_transfer.data.samples import Samples
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.studies.domains import compare_domains, recipe_of
from keras_transfer.workflows.domain_measures import (
    Domain,
    estimated_loss,
    label_shift,
    measured_loss,
    with_shares,
)
from keras_transfer.workflows.domain_source import from_run
from keras_transfer.workflows.domain_target import draw, read_target
from keras_transfer.workflows.domain_verdict import verdict


def paint(folder, seed, change=lambda pixels: pixels, **counts):
    """Noise with a colour a class."""
    rng = np.random.default_rng(seed)
    for name, n in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            pixels = rng.integers(0, 120, (20, 24, 3))
            pixels[..., COLOURS[name]] += 130
            image = Image.fromarray(change(pixels).astype("uint8"))
            image.save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Images of the source, and targets."""
    folder = tmp_path_factory.mktemp("domains")
    paint(folder / "images", 0, blue=60, red=60)
    paint(folder / "same", 1, blue=50, red=50)
    paint(folder / "mostly_red", 2, blue=15, red=85)
    paint(folder / "inverted", 3, lambda pixels: 255 - pixels, blue=40, red=40)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _one_cache(work):
    """Features are computed once for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(work / "cache"))
        yield


@pytest.fixture(autouse=True)
def _own_cache(work, monkeypatch):
    monkeypatch.setenv("KT_CACHE_DIR", str(work / "cache"))


SMALL = {"image_size": 16, "batch_size": 8, "engine": "keras", "engine_error": 0}


@pytest.fixture(scope="module")
def run(work):
    recipe = Classify(
        data=str(work / "images"),
        backbone="convnet_small",
        weights="none",
        split=Split(val=0.25, test=0.25),
        head=Head(pooling="flatten", units=(8,), dropout=0.2),
        stages=(Stage("all", epochs=4, unfreeze="all", learning_rate=1e-3),),
        **SMALL,
    )
    return recipe.run(name="colours", out=work / "run")


@pytest.fixture(scope="module")
def report(run, work):
    """A function that compares the run with a target, once for the same question."""
    done = {}

    def compare(target, name="", **asked):
        key = name or target
        if key not in done:
            out = work / "reports" / key
            done[key] = compare_domains(run.folder, work / target, out=out, **asked)
        return done[key]

    return compare


def test_features_are_those_behind_the_pooling(run):
    """Whatever head follows: of these it predicts what the network does; flat maps are averaged."""
    source = from_run(run, None, 10, 0)
    few = source.samples.split("test").take(np.arange(0, 30, 5))  # three of each class
    features = source.features(few)
    *places, channels = source.flattened

    assert features.shape == (6, np.prod(places) * channels)
    assert source.head(features) == pytest.approx(run.probabilities(few), abs=1e-5)
    assert source.agrees(few, features)
    assert not source.agrees(few, features[::-1])
    maps = features.reshape(6, *places, channels)
    assert source.vectors(features) == pytest.approx(maps.mean(axis=(1, 2)), abs=1e-6)
    assert source.second_head(features).sum(axis=1) == pytest.approx(np.ones(6))


def test_two_halves_of_one_set_have_no_shift(report, run):
    _, found = report("same")
    distances = found["distances"]

    assert found["verdict"]["shift"] == "none"
    assert found["verdict"]["text"].startswith("No shift: the domains cannot be told apart")
    assert distances["mmd_p_value"] > 0.1
    assert distances["a_distance_low"] == 0
    assert found["distances_with_equal_shares"] is None
    assert not found["label_shift"]["found"]
    assert found["recommendation"]["action"] == "use"
    assert found["recommendation"]["commands"] == [f"kt-recipe export {run.folder}"]
    assert found["source"]["test"] == found["source"]["val"] == 30
    assert found["target"]["examples"] == 100
    # All tests of the run, so the accuracy is its own.
    assert found["accuracy"]["source"]["accuracy"] == run.metrics["test"]["accuracy"]


def test_other_images_are_a_shift_and_its_loss_is_named(report, run):
    """Of inverted colours the classes are confused; red becomes cyan, which is more blue."""
    _, found = report("inverted")

    assert found["distances"]["a_distance"] > 1.5
    assert found["distances"]["mmd_p_value"] == pytest.approx(1 / 201)
    assert found["distances"]["frechet"] > 2 * found["distances"]["frechet_reference"]
    assert [row["class"] for row in found["per_class"]] == ["blue", "red"]
    assert found["accuracy"]["target"]["accuracy"] < 0.7
    assert found["loss"]["measured"]
    assert found["loss"]["low"] > 0.1
    assert found["verdict"]["shift"] == "far"
    assert "Far domain" in found["verdict"]["text"]
    assert found["recommendation"]["action"] == "fine_tune"
    (command,) = found["recommendation"]["commands"]
    # A recipe of Python code has no name that the command line knows; its settings are in a file.
    assert command.startswith(f"kt-recipe run auto_folder -c {run.folder}/recipe.yaml --data ")
    assert command.endswith(f"inverted --weights run:{run.folder}")


def test_without_labels_adaptation_is_the_second_way(report, run, work):
    _, found = report("inverted", "inverted_unlabelled", unlabelled=True)

    assert found["recommendation"]["action"] == "label"
    label, adapt = found["recommendation"]["commands"]
    assert label.endswith(f"to_label.csv --weights run:{run.folder}")
    data = run.settings["data"]["source"]
    assert adapt == (
        f"kt-recipe run coral_folder --data {data} --target-data {work / 'inverted'} "
        f"--backbone convnet_small --weights run:{run.folder} --image-size 16"
    )


def test_other_class_shares_are_label_shift(report):
    """Distances see it too, but not at equal shares."""
    _, found = report("mostly_red")
    rows = {row["class"]: row for row in found["label_shift"]["classes"]}

    assert found["label_shift"]["found"]
    assert rows["blue"]["target"] == 0.15
    assert rows["blue"]["estimated"] == pytest.approx(0.15, abs=0.05)
    assert rows["red"]["low"] < 0.85 < rows["red"]["high"]
    assert found["distances"]["distinguishable"]
    assert not found["distances_with_equal_shares"]["distinguishable"]
    assert found["verdict"]["shift"] == "label"
    assert found["recommendation"]["action"] == "use"
    assert found["recommendation"]["commands"][0].startswith("kt-recipe evaluate")


def test_labels_that_are_not_used(report):
    """The same verdict from predictions alone; what is known with labels is left out."""
    _, found = report("mostly_red", "unlabelled", unlabelled=True)

    assert found["target"]["labelled"] is False
    assert found["label_shift"]["by"] == "predictions"
    assert found["label_shift"]["classes"][0]["target"] is None
    assert found["accuracy"]["target"] is None
    assert found["per_class"] == []
    assert not found["loss"]["measured"]
    assert found["verdict"]["shift"] == "label"


def test_files_of_a_report(report, work):
    folder, found = report("inverted")
    stored = json.loads((folder / "domains.json").read_text())
    measures = {(row["group"], row["measure"]): row for row in rows_of(folder / "domains.csv")}
    examples = rows_of(folder / "examples.csv")
    first = rows_of(folder / "to_label.csv")

    assert stored["verdict"] == found["verdict"]
    assert float(measures["loss", "measured"]["value"]) == found["loss"]["value"]
    assert float(measures["class red", "mmd"]["p_value"]) == pytest.approx(1 / 201)
    assert len(examples) == 80
    distances = [float(row["distance"]) for row in examples]
    assert distances == sorted(distances, reverse=True)
    wrong = np.mean([row["predicted"] != row["true"] for row in examples])
    assert wrong == pytest.approx(1 - found["accuracy"]["target"]["accuracy"])
    assert [*first[0]] == ["path", "label", "predicted"]
    assert {row["label"] for row in first} == {""}
    filled = (folder / "to_label.csv").read_text().replace(".png,,", ".png,red,")
    (work / "filled.csv").write_text(filled)
    labelled = read_target(work / "filled.csv", ("blue", "red"))
    assert labelled.labelled
    assert set(labelled.samples.labels) == {1}
    assert len(labelled.samples) == len(first) == 80
    assert (folder / "map.png").stat().st_size > 5000


def rows_of(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_a_seed_gives_the_same_numbers_and_features_are_not_computed_again(run, report, work):
    _, found = report("same")
    stored = {path: path.stat().st_mtime_ns for path in work.glob("cache/features/*/*.npy")}
    _, again = compare_domains(run.folder, work / "same", out=work / "reports/again")

    for one in (found, again):
        one.pop("seconds", None)
    assert again == found
    assert stored
    now = {path: path.stat().st_mtime_ns for path in work.glob("cache/features/*/*.npy")}
    assert now == stored
    # A seed decides on the sample too.
    few = {"sample": 40, "out": work / "reports/few"}
    _, other = compare_domains(run.folder, work / "same", seed=1, **few)
    assert other["source"]["test"] + other["source"]["val"] == 40
    assert other["target"]["examples"] == 40
    assert other["distances"] != found["distances"]


def test_a_class_that_the_source_lacks_is_named_before_anything_is_computed(run, work, tmp_path):
    paint(tmp_path / "new", 5, blue=25, red=30, green=4)
    with pytest.raises(BadData, match=r"by --classes blue,red;[\s\S]*green \(4\)"):
        compare_domains(run.folder, tmp_path / "new", out=tmp_path / "report")
    assert not (tmp_path / "report").exists()

    asked = {"classes": ["red"], "out": tmp_path / "report"}
    _, found = compare_domains(run.folder, tmp_path / "new", **asked)
    assert found["target"]["examples"] == 30
    assert found["target"]["missing_classes"] == ["blue"]
    with pytest.raises(BadConfiguration, match="No class of the target is called 'reed'"):
        compare_domains(run.folder, tmp_path / "new", classes=["reed"])


def test_a_folder_without_labels_copies_and_what_cannot_be_read(run, work, tmp_path):
    """25 images, of which one is in the source, one is a copy, and one is no image."""
    paint(tmp_path / "new", 6, red=24)
    files = sorted((tmp_path / "new/red").iterdir())
    folder = tmp_path / "flat"
    folder.mkdir()
    for number, path in enumerate([*files, files[0], work / "images/blue/3.png"]):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
    (folder / "broken.png").write_text("no image")
    out, found = compare_domains(run.folder, str(folder / "*.png"), out=tmp_path / "report")

    target = found["target"]
    assert target["labelled"] is False
    counts = ("of", "examples", "invalid", "copies", "examples_of_the_source")
    assert [target[name] for name in counts] == [27, 24, 1, 1, 1]
    assert "broken.png" in (out / "bad_files.csv").read_text()
    assert found["label_shift"]["found"]


def test_no_example_can_be_used(run, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new/broken.png").write_text("no image")
    with pytest.raises(BadData, match=r"None of 1 target examples can be used:\n .*broken.png: "):
        compare_domains(run.folder, tmp_path / "new", out=tmp_path / "report")


def test_the_source_is_no_target(run, work, tmp_path):
    with pytest.raises(BadData, match="120 are examples of the source"):
        compare_domains(run.folder, work / "images", out=tmp_path / "report")


def test_examples_of_the_run_are_no_new_ones(run, work, tmp_path):
    """Those named by ``data`` stand for its test split, which it has not seen."""
    data, out = str(work / "images"), tmp_path / "report"
    with pytest.raises(BadData, match="The source has 0 distinct examples"):
        compare_domains(run.folder, work / "inverted", data=data, out=out)


def test_a_source_of_data(work, tmp_path):
    """Frozen features, and logistic regression as the model; the commands train it."""
    build_backbone("convnet_small", image_size=16).save_weights(tmp_path / "net.weights.h5")
    settings = find(AUTO).recipe.changed(**SMALL)
    weights = str(tmp_path / "net.weights.h5")
    recipe = recipe_of(str(work / "images"), "convnet_small", weights, settings)
    _, found = compare_domains(recipe, work / "inverted", out=tmp_path / "report")

    assert found["source"]["train"] == 84
    assert found["accuracy"]["source"]["accuracy"] > 0.9
    assert found["verdict"]["shift"] == "far"
    first, second = found["recommendation"]["commands"]
    assert f"--data {work / 'images'} --backbone convnet_small --weights {weights}" in first
    assert "--set input.image_size=16" in first
    assert "--weights run:runs/source" in second


# --- by hand ----------------------------------------------------------------------------------


def domain(labels, predicted, classes=("cat", "dog"), split="test", labelled=True):
    """A domain whose predictions are sure; its features are the row numbers."""
    n = len(labels)
    keys = [str(number) for number in range(n)]
    samples = Samples.of(None, classes, keys, labels, splits=[split] * n, digests=keys)
    features = np.arange(n, dtype="float32")[:, None]
    return Domain(samples, features, np.eye(len(classes))[predicted], None, labelled)


CATS_AND_DOGS = domain([0] * 60 + [1] * 60, [0] * 60 + [1] * 45 + [0] * 15)
"""All cats are recognised, and 3 of 4 dogs."""


def test_the_loss_is_that_at_equal_shares():
    """With 1 cat to 3 dogs the source has 1/4 + 3/4 x 3/4; the target is right as often."""
    target = domain([0] * 25 + [1] * 75, [0] * 25 + [1] * 56 + [0] * 19)
    shift = label_shift(CATS_AND_DOGS, target, 0)
    found = measured_loss(CATS_AND_DOGS, target, shift, 0)

    assert shift["found"]
    assert found["source"] == pytest.approx(0.25 + 0.75**2)
    assert found["value"] == pytest.approx(found["source"] - 0.81)
    assert found["low"] < 0 < found["high"]
    # Without label shift it is the plain difference.
    plain = measured_loss(CATS_AND_DOGS, target, {"found": False}, 0)
    assert plain["value"] == pytest.approx(0.875 - 0.81)


def test_shares_are_matched_by_leaving_out_source_examples():
    """0.2 and 0.8 of 60 and 60: 15 cats and all 60 dogs."""
    rows = [{"target": None, "estimated": share} for share in (0.2, 0.8)]
    found = with_shares(CATS_AND_DOGS, {"classes": rows}, seed=0)

    assert found.samples.counts().tolist() == [15, 60]
    assert len(set(found.features[:, 0])) == 75


def test_label_shift_of_predictions_is_estimated():
    """Predicted cats are 0.25 + 0.75/4 of a target with 1 cat to 3 dogs."""
    target = domain([0] * 160, [0] * 70 + [1] * 90, labelled=False)
    found = label_shift(CATS_AND_DOGS, target, 0)
    cat, dog = found["classes"]

    assert cat["estimated"] == pytest.approx(0.25)
    assert dog["low"] < 0.75 < dog["high"]
    assert cat["target"] is None
    # With half of each class, at least 10 of the 90 predicted dogs are cats.
    assert found["least_error"] == pytest.approx(10 / 160)


def test_the_estimated_loss_is_the_mean_of_the_estimates():
    one, other = ({"value": v, "low": v - 0.1, "high": v + 0.05} for v in (0.7, 0.9))
    found = estimated_loss({"held_out": 0.95, "estimates": {"one": one, "other": other}})

    assert found["value"] == pytest.approx(0.95 - 0.8)
    assert (found["low"], found["high"]) == pytest.approx((0, 0.35))


def judged(apart, loss, low, *, measured=True, shift=False):
    """The verdict on distances and a loss."""
    distances = {"mmd_p_value": 0.5, "a_distance": 0.1, "a_distance_low": 0, "a_distance_high": 0.2}
    numbers = {"value": loss, "low": low, "high": loss + 0.02, "source": 0.95}
    row = {"class": "cat", "source": 0.5, "estimated": 0.9, "target": None}
    found = verdict(
        {
            "label_shift": {"found": shift, "by": "labels", "p_value": 0.01, "classes": [row]},
            "distances": {**distances, "distinguishable": apart},
            "distances_with_equal_shares": {**distances, "distinguishable": apart},
            "loss": {**numbers, "measured": measured},
        }
    )
    return found["shift"], found["lost"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (judged(False, 0.0, -0.02), ("none", False)),
        # Clearly different, but nothing is lost.
        (judged(True, 0.01, -0.01), ("near", False)),
        (judged(True, 0.03, 0.01), ("near", True)),
        (judged(True, 0.2, 0.15), ("far", True)),
        # So few examples that it may be chance.
        (judged(True, 0.2, -0.01), ("near", False)),
        (judged(False, 0.01, -0.01, shift=True), ("label", False)),
        # The same images with other labels.
        (judged(False, 0.2, 0.15), ("disagreement", True)),
        (judged(True, 0.015, -0.1, measured=False), ("near", False)),
        (judged(True, 0.04, -0.1, measured=False), ("near", True)),
        (judged(True, 0.06, -0.1, measured=False), ("far", True)),
        (judged(False, 0.06, -0.1, measured=False), ("none", False)),
    ],
)
def test_a_verdict_is_about_what_is_lost(found, expected):
    assert found == expected


def test_a_table_without_labels(tmp_path):
    paint(tmp_path / "new", 7, red=3)
    table = tmp_path / "new.csv"
    table.write_text("path\n" + "\n".join(f"new/red/{number}.png" for number in range(3)))
    found = read_target(table, ("blue", "red"))

    assert found.labelled is False
    assert found.samples.classes == ("blue", "red")
    assert len(found.samples) == 3
    labelled = tmp_path / "labelled.csv"
    labelled.write_text("path,label\nnew/red/0.png,red\n")
    assert read_target(labelled, ("blue", "red")).samples.labels.tolist() == [1]
    assert read_target(labelled, ("blue", "red"), unlabelled=True).labelled is False


def test_a_draw_does_not_depend_on_the_order_of_the_table(tmp_path):
    paint(tmp_path / "new", 8, red=9)
    found = read_target(tmp_path / "new/red", ("blue", "red")).samples

    def judge(raw, name=""):
        from keras_transfer.data.samples import CheckResult

        return CheckResult(raw.hex())

    drawn = draw(found, 4, 0, judge).samples
    reversed_ = draw(found.take(np.arange(9)[::-1]), 4, 0, judge).samples
    assert sorted(drawn.keys) == sorted(reversed_.keys)
    assert {*draw(found, 4, 1, judge).samples.keys} != {*drawn.keys}


# --- real images ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.real_data
def test_cats_and_dogs_at_night(shared_data, shared_weights, tmp_path):
    """A tenth of the light and noise: a far domain; other photos as they are: no shift."""
    rng, photos = np.random.default_rng(0), {}
    for name in ("cat", "dog"):
        photos[name] = sorted((shared_data / "cats_dogs/train" / name).iterdir())[:220]
        (tmp_path / "night" / name).mkdir(parents=True)
        for path in photos[name][160:]:
            with Image.open(path) as image:
                dark = np.asarray(image.convert("RGB")) / 10
            pixels = (dark + rng.normal(0, 8, dark.shape)).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "night" / name / f"{path.stem}.png")
    splits = 80 * ["train"] + 20 * ["val"] + 60 * ["test"]
    table(tmp_path / "day.csv", photos, slice(160), splits)
    table(tmp_path / "more.csv", photos, slice(160, 220), 60 * [""])
    weights = str(shared_weights / "mobilenet_v2_0.35_224_no_top.weights.h5")
    recipe = recipe_of(
        str(tmp_path / "day.csv"), "mobilenet_v2:alpha=0.35", weights, find(AUTO).recipe
    )
    _, night = compare_domains(recipe, tmp_path / "night", out=tmp_path / "1")
    _, same = compare_domains(recipe, tmp_path / "more.csv", out=tmp_path / "2")

    assert night["accuracy"]["source"]["accuracy"] > 0.85
    assert night["verdict"]["shift"] == "far"
    assert night["loss"]["low"] > 0.1
    assert night["distances"]["a_distance"] > 1.8
    assert night["recommendation"]["action"] == "fine_tune"
    assert same["verdict"]["shift"] == "none"
    assert same["distances"]["a_distance_low"] == 0
    assert same["recommendation"]["action"] == "use"


def table(path, photos, where, splits):
    """A manifest of some of the photos of each class."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for name, files in photos.items():
            pairs = zip(files[where], splits, strict=True)
            writer.writerows([str(photo), name, split] for photo, split in pairs)
