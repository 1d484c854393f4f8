"""Fixtures that more than one folder of tests uses."""

import importlib
import os
import sys
from pathlib import Path

import hypothesis
import pytest
from colours import odd, run, saved
from objectives_runs import objective_export, objective_run
from pairs_runs import pair_export, pair_run
from pretraining_runs import brief_run
from processes import TINY, paint
from slow_tests import measured, part_of
from texts_runs import text_export, text_run
from tokens_runs import token_export, token_run

from keras_transfer import catalog

__all__ = [
    "brief_run",
    "objective_export",
    "objective_run",
    "odd",
    "pair_export",
    "pair_run",
    "run",
    "saved",
    "text_export",
    "text_run",
    "token_export",
    "token_run",
]  # one run for all folders of tests

# The same cases in every run; --hypothesis-profile=default looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("repeatable")

# What the tests serve is on this machine: a proxy, where one is set, is not asked for it.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,::1,[::1],localhost"

# Two workers on two cores: threads of each would only wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hundreds of runs need no report; the tests of reports ask for it.
os.environ.setdefault("KT_REPORT", "0")
SHARED = Path(os.environ.get("KT_SHARED", Path(__file__).parents[2] / "shared"))


LONGEST = ("cli", "workflows")
"""Folders whose files take longest. What is begun last is what one worker waits for the other."""


def pytest_addoption(parser):
    """Let a run have a part of the tests."""
    parser.addoption(
        "--part", metavar="K/N", help="one of N parts of the tests that were asked for"
    )


@pytest.hookimpl(tryfirst=True)  # before tests are deselected by their marks
def pytest_collection_modifyitems(config, items):
    """Mark what is slow, and put the longest files first; a file stays with one worker."""
    slow = measured()
    for item in items:
        if item.nodeid in slow:
            item.add_marker("slow")
    if part := config.getoption("--part"):
        number, parts = map(int, part.split("/"))
        items[:] = part_of(items, number % parts, parts)
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Nothing that a test does touches the user's own cache folder."""
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"{path} is not on this machine (KT_SHARED names the folder that holds it)")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images beside the checkout."""
    return _folder(SHARED / "data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder of real ImageNet weights beside the checkout."""
    return _folder(SHARED / "weights")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with images, and a recipe to run on them."""
    folder = tmp_path_factory.mktemp("work")
    paint(folder / "images")
    (folder / "tiny.py").write_text(TINY)
    return folder


@pytest.fixture
def recipe_package(tmp_path, monkeypatch):
    """A function that installs a package of recipes, as far as entry points go."""

    def install(name, recipes):
        folder = tmp_path / "site" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(recipes.pop("__init__", ""))
        for recipe, text in recipes.items():
            (folder / f"{recipe}.py").write_text(text)
        metadata = tmp_path / "site" / f"{name}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[{catalog.GROUP}]\n{name} = {name}\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        importlib.invalidate_caches()

    yield install
    for module in [one for one in sys.modules if one.split(".")[0].startswith("acme")]:
        del sys.modules[module]
