"""Runs at the same time share the work: each image is computed by one of them."""

import errno
import fcntl
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from processes import warm_python

from keras_transfer.features import store

DIGESTS = ["aa", "bb", "cc"]

OWNER = """
import sys, time
from pathlib import Path
from keras_transfer.features import store

with store.open_space(Path(sys.argv[1]), {}) as space, space.claim(["aa", "bb"]) as own:
    print(own.tolist(), flush=True)
    time.sleep(120)
"""


@pytest.fixture
def owner(tmp_path):
    """A process that has claimed the first two images of a space."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "[True, True]\n"
    yield process
    process.kill()
    process.communicate()


def claimable(space, digests=DIGESTS):
    with space.claim(digests) as own:
        return own.tolist()


def test_what_another_run_computes_is_not_claimed(owner, tmp_path):
    with store.open_space(tmp_path, {}) as space:
        assert claimable(space) == [False, False, True]
    with store.open_space(tmp_path, {"network": "other"}) as space:
        assert claimable(space) == [True, True, True]


def test_who_waits_says_for_what_and_goes_on_when_the_other_is_killed(owner, tmp_path, caplog):
    with caplog.at_level("INFO"), store.open_space(tmp_path, {}) as space:
        space.wait(["cc"])  # nobody has this one
        assert caplog.text == ""
        waiting = threading.Thread(target=space.wait, args=[DIGESTS], daemon=True)
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()

        owner.kill()
        waiting.join(30)

        assert not waiting.is_alive()
        assert claimable(space) == [True, True, True]
        assert not [*space.folder.glob("*.claim")]
    assert f"Process {owner.pid} is computing features of 2 of these examples" in caplog.text


def test_what_is_there_is_not_claimed(tmp_path):
    """Another run may have added it after it was missing."""
    with store.open_space(tmp_path, {}) as space:
        space.add(["bb"], [np.zeros((1, 2), "float32")], np.empty(2, "float16"))

        assert claimable(space) == [True, False, True]


def test_a_run_that_fails_gives_its_claim_up(tmp_path):
    with store.open_space(tmp_path, {}) as space:
        with pytest.raises(RuntimeError), space.claim(DIGESTS):
            raise RuntimeError

        assert claimable(space) == [True, True, True]


def test_without_locks_each_run_computes_what_it_misses(tmp_path, monkeypatch):
    def no_locks(descriptor, mode):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with store.open_space(tmp_path, {}) as space, space.claim(DIGESTS) as own:
        assert own.all()
        assert claimable(space) == [True, True, True]
        space.wait(DIGESTS)


AT_ONCE = """
import json, os, sys, time
from pathlib import Path

import keras
import numpy as np

from keras_transfer.data import sources
from keras_transfer.data.batches import Loading
from keras_transfer.data.scan import drop_invalid, scan
from keras_transfer.features.extractor import EngineConfig, FeatureExtractor
from keras_transfer.inputs.image import Image
from keras_transfer.inputs.images.bound import BoundImage
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.freezing import freeze
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network

def compute(number):
    keras.utils.set_random_seed(0)
    backbone = build_backbone("convnet_small", image_size=16)
    network = build_network(backbone, {"label": build_head(2)}, preprocessing="tf")
    freeze(backbone, "block3")
    early = network.cut()
    freeze(backbone)
    late = network.cut()
    found = sources.read("images")
    samples = drop_invalid(found, scan(found, Image().judge, None), "fail")
    # The first half of them shares two thirds of its images with the others.
    samples = samples.take(np.arange(30) if number < count // 2 else np.arange(10, 40))
    loading = Loading(BoundImage(16, "stretch", {}), 32, 1)
    config = EngineConfig("keras", 0.0, Path("cache"))
    made = {"backbone": "convnet_small"}
    first = FeatureExtractor(early, loading, samples, config, **made)
    second = FeatureExtractor(late, loading, samples, config, earlier=first, **made)
    first.choice, second.choice
    Path(f"ready-{number}").touch()
    while len([*Path().glob("ready-*")]) < count:
        time.sleep(0.01)
    # In both orders: the features of the second are made from those of the first.
    for extractor in (first, second) if number % 2 else (second, first):
        table = extractor.table(samples)
    np.save(f"{number}.npy", second.table(samples).take(np.arange(len(samples))))
    counts = [extractor.report["computed"] for extractor in (first, second)]
    Path(f"{number}.json").write_text(json.dumps(counts))

count, children = int(sys.argv[1]), []
for number in range(count):
    children.append(os.fork())
    if not children[-1]:
        try:
            compute(number)
        finally:
            os._exit(0)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_cold_runs_at_once_compute_each_image_once(tmp_path, count):
    """Forty images by way of two networks, whichever of the runs computes them."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")

    done = warm_python(AT_ONCE, count, cwd=tmp_path, check=0)

    counts = [json.loads((tmp_path / f"{i}.json").read_text()) for i in range(count)]
    assert np.sum(counts, axis=0).tolist() == [40, 40], done.stderr
    found = [np.load(tmp_path / f"{i}.npy") for i in range(count)]
    for features in found[: count // 2]:
        assert np.array_equal(features, found[0])
        assert np.array_equal(features[10:], found[-1][:20])
