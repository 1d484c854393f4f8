"""Benchmarks are run by hand: here, that what they name exists today."""

import importlib
import json
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import benchmarks
from benchmarks._shifts import SHIFTS, source_photos, target_photos, write_target
from benchmarks.catsdogs import recipe_stages
from benchmarks.recipes import NOT_MEASURED, RECIPES, TEACHER, interval
from benchmarks.scale import LIST_AND_SPLIT, write_manifest
from benchmarks.settings import DATA, PLAIN, options
from keras_transfer import Classify, catalog

NAMES = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
RUN_BY_NAME = [name for name in NAMES if not name.startswith("_") or name == "_child"]


@pytest.mark.parametrize("name", RUN_BY_NAME)
def test_a_benchmark_imports(name):
    module = importlib.import_module(f"benchmarks.{name}")

    assert module.__doc__
    assert name == "_child" or callable(module.main)


@pytest.mark.parametrize("setting", PLAIN)
def test_a_measured_setting_makes_a_recipe(setting):
    recipes = [Classify(**dict(options(data, setting))) for data in DATA.values()]

    assert all(recipe.backbone.name == "mobilenet_v2" for recipe in recipes)


def test_what_scale_measures_lists_and_splits_a_table(tmp_path):
    write_manifest(tmp_path, 40)
    command = [sys.executable, "-c", LIST_AND_SPLIT, str(tmp_path / "table.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"imports", "reading", "splitting"}
    assert min(found.values()) > 0


def test_the_textbook_is_compared_at_its_own_rates():
    """Those of the Keras blog's network, whatever our recipe has."""
    stages = recipe_stages("vgg16")

    rates = [(stage["learning_rate"], stage["schedule"]) for stage in stages]
    assert rates == [(1e-4, "constant"), (1e-5, "constant")]
    assert stages[1]["unfreeze"] == "block5"


def test_recipes_are_measured_or_it_is_said_why_not():
    assert not RECIPES.keys() & NOT_MEASURED.keys()
    assert {*RECIPES, *NOT_MEASURED, *TEACHER.values()} <= {*catalog.modules()}


def test_answers_to_one_example_are_drawn_together():
    """Seeds that agree are no further evidence: three equal runs have the interval of one."""
    run = {str(number): number >= 10 for number in range(400)}  # 390 of 400 right
    low, high = interval([run])

    assert interval([run, run, run]) == (low, high)
    # The binomial distribution's own quantiles: 0.9575 and 0.9900 (scipy.stats.binom.ppf).
    assert (low, high) == pytest.approx((0.9575, 0.99), abs=0.003)
    assert interval([dict.fromkeys(run, True)]) == (1.0, 1.0)


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shifted_target_has_the_images_and_classes_of_the_photos(shift, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), "uint8")
    for name in ("cat", "dog"):
        Image.fromarray(pixels).save(tmp_path / f"{name}.7.png")
    photos = {name: [tmp_path / f"{name}.7.png"] for name in ("cat", "dog")}
    first, second = (write_target(tmp_path / f"{i}", photos, shift) for i in (1, 2))

    written = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    suffix = "png" if shift == "resized" else "jpg"
    assert [str(path) for path in written] == [f"{name}/{name}.7.{suffix}" for name in photos]
    for path in written:
        assert (first / path).read_bytes() == (second / path).read_bytes()
        with Image.open(first / path) as image:
            assert image.size == ((224, 224) if shift == "resized" else (40, 30))
            assert np.abs(np.asarray(image.resize((40, 30)), int) - pixels).mean() > 9


@pytest.mark.real_data
def test_no_photo_of_the_source_is_one_of_the_target(shared_data):
    def contents(classes):
        return {path.read_bytes() for paths in classes.values() for path in paths}

    source, target = source_photos(), contents(target_photos())
    assert {split: len(contents(classes)) for split, classes in source.items()} == {
        "train": 400,
        "val": 300,
        "test": 500,
    }
    assert len(target) == 1000
    assert not any(contents(classes) & target for classes in source.values())
