"""The feature engine from the command line: what is kept, what is shared, what is refused."""

import itertools
import json
import shutil

import numpy as np
import pytest
from damages import DAMAGES
from processes import kt, kt_process, warm_python


def run(work, out, *words, cache, check=0):
    return kt(
        "run", "tiny.py", "--out", out, *words, cwd=work, check=check, KT_CACHE_DIR=str(cache)
    )


def metadata(out):
    return json.loads((out / "run.json").read_text())


def probabilities(out):
    return np.genfromtxt(out / "predictions.csv", delimiter=",", skip_header=1)[:, 3:]


TUNED = ["--set", "stages.1.unfreeze=block3", "--set", "stages.1.name=tune"]


@pytest.fixture(scope="module")
def cached(work, tmp_path_factory):
    """A cache that one run has filled, and that run's folder."""
    folder = tmp_path_factory.mktemp("cached")
    run(work, folder / "run", *TUNED, cache=folder / "cache")
    return folder


def test_the_same_run_again_computes_nothing_and_ends_the_same(work, cached, tmp_path):
    first = metadata(cached / "run")["features"]
    assert first["tune"]["boundary"] == "block2_pool"
    assert first["head"]["boundary"] == "pool"
    # 24 images; those of the head are made from those of the later stage
    assert first["tune"]["computed"] == 24

    run(work, tmp_path / "run", *TUNED, cache=cached / "cache")

    second = metadata(tmp_path / "run")["features"]
    assert second["tune"]["computed"] == second["head"]["computed"] == 0
    assert set(second["tune"]) >= {"engine", "precision", "error", "images_per_second"}
    assert (tmp_path / "run/predictions.csv").read_text() == (
        cached / "run/predictions.csv"
    ).read_text()


@pytest.fixture(scope="module")
def plainly(work, tmp_path_factory):
    """Options and run of a recipe without augmentation, dropout and half precision."""
    folder = tmp_path_factory.mktemp("plain")
    words = [*TUNED, "--set", "head.dropout=0", "--engine-error", "0"]
    run(work, folder / "run", *words, cache=folder / "cache")
    return words, probabilities(folder / "run")


@pytest.mark.parametrize(
    "words",
    [
        ["--engine", "none"],
        pytest.param(["--no-cache"], marks=pytest.mark.slow),
        pytest.param(["--engine", "keras"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_every_way_comes_to_the_same_model(work, plainly, tmp_path, words):
    """All ways show the training the same numbers, but for float16 in the cache."""
    options, expected = plainly
    done = run(work, tmp_path / "run", *options, *words, cache=tmp_path / "cache")

    assert probabilities(tmp_path / "run") == pytest.approx(expected, abs=5e-3)
    assert "0000 00:00" not in done.stderr  # TensorFlow's own chatter
    kept = list((tmp_path / "cache").glob("features/*/*.npy"))
    assert bool(kept) == (words == ["--engine", "keras"])


@pytest.mark.parametrize(
    "views",
    [
        "auto",
        pytest.param("3", marks=pytest.mark.slow),
        pytest.param("clean", marks=pytest.mark.slow),
        pytest.param("fresh", marks=pytest.mark.slow),
    ],
)
def test_views_of_augmented_images(work, tmp_path, views):
    words = [*TUNED, "--views", views, "--set", "augment.rotation_range=30"]
    done = run(work, tmp_path / "run", *words, cache=tmp_path / "cache")

    clean = done.stderr.count("on features of images without augmentation")
    assert clean == {"auto": 1, "3": 0, "clean": 2, "fresh": 0}[views]  # of the stages head, tune
    computed = metadata(tmp_path / "run")["features"]["tune"]["computed"]
    # 12 of the 24 images are for training; the first view is the clean one.
    assert computed == {"auto": 24 + 12, "clean": 24, "3": 24 + 2 * 12, "fresh": 12}[views]


def test_show_and_clear(work, cached, tmp_path):
    shutil.copytree(cached / "cache", tmp_path / "cache")

    def cache(*words):
        home = {"KT_CACHE_DIR": str(tmp_path / "cache")}
        return kt_process("cache", *words, cwd=work, check=0, **home)

    told = cache("show").stdout
    assert "convnet_small up to block2_pool, 16 pixels, clean" in told
    assert ": 24 images" in told
    assert "of 20 GB (KT_CACHE_GB)" in told
    document = json.loads(cache("show", "--json").stdout)
    assert {row["boundary"] for row in document["features"]} == {"pool", "block2_pool"}
    # 4 x 4 x 64 numbers of two bytes an image, and digests beside them
    (tuned,) = [row for row in document["features"] if row["boundary"] == "block2_pool"]
    assert 24 * 4 * 4 * 64 * 2 < tuned["bytes"] < 24 * (4 * 4 * 64 * 2 + 100) + 2000

    assert "Removed 2 sets" in cache("clear").stderr
    assert json.loads(cache("show", "--json").stdout)["bytes"] == 0


def test_a_damaged_cache_is_named_and_the_run_ends_as_with_an_empty_one(work, cached, tmp_path):
    """Each file is damaged in another way; the choice of engines, a measurement, is left."""
    cache = tmp_path / "cache"
    shutil.copytree(cached / "cache", cache)
    ways = itertools.cycle(DAMAGES.values())
    segments = sorted(cache.glob("features/*/*.npy"))
    for path in [*segments, *cache.glob("features/*/about.json"), *cache.glob("*.sqlite")]:
        path.write_bytes(next(ways)(path.read_bytes()))

    again = run(work, tmp_path / "run", *TUNED, cache=cache)

    assert len(segments) >= 4
    assert all(again.stderr.count(f"{path} is damaged") == 1 for path in segments)
    assert metadata(tmp_path / "run")["features"]["tune"]["computed"] == 24
    assert (tmp_path / "run/predictions.csv").read_text() == (
        cached / "run/predictions.csv"
    ).read_text()


def test_nonsense_is_refused_before_anything_is_read(work, tmp_path):
    for words, says in (
        (["--engine", "opnvino"], "openvino"),
        (["--views", "some"], "views"),
        (["--views", "0"], "views"),
        (["--engine-error", "2"], "engine_error"),
    ):
        refused = run(work, tmp_path / "run", *words, cache=tmp_path / "cache", check=2)
        assert says in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not (tmp_path / "run").exists()


def test_a_limit_that_is_no_number_is_refused(work, tmp_path):
    refused = kt_process("cache", "show", cwd=work, check=2, KT_CACHE_GB="plenty")
    assert "KT_CACHE_GB" in refused.stderr


DEVICES = """
import runpy, sys
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
out, strategy, views = sys.argv[1:]
recipe = runpy.run_path("tiny.py")["recipe"]
recipe.run(
    name="tiny", out=out, strategy=strategy, views=views, batch_size=6,
    augment={"rotation_range": 9},
    head={"dropout": 0.0}, engine_error=0.0, precision="float32",
    stages=[{"name": "head", "epochs": 1}, {"name": "tune", "epochs": 2, "unfreeze": "block3"}],
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("views", ["clean", "fresh"])
def test_two_devices_train_on_features_as_one_does(work, tmp_path, views):
    """12 images for training, in batches of 6; features stored and features streamed."""
    for strategy in ("one_device", "mirrored"):
        warm_python(DEVICES, tmp_path / strategy, strategy, views, cwd=work, check=0)

    one, two = (probabilities(tmp_path / name) for name in ("one_device", "mirrored"))
    assert two == pytest.approx(one, abs=1e-4)


@pytest.mark.slow
def test_half_precision_trains_on_features_too(work, tmp_path):
    done = run(
        work, tmp_path / "run", *TUNED, "--precision", "mixed_bfloat16", cache=tmp_path / "cache"
    )

    assert metadata(tmp_path / "run")["features"]["tune"]["computed"] == 24
    assert "answers otherwise" not in done.stderr
