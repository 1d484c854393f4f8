"""Benchmarks are run by hand: here, that what they name exists today."""

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import benchmarks
from benchmarks.scale import LIST_AND_SPLIT, write_manifest
from benchmarks.settings import DATA, PLAIN, options
from keras_transfer import Classify

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
