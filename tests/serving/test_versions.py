"""Versions that come, are switched to, or are refused."""

import gc
import shutil
import threading
import weakref

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import BadConfiguration
from keras_transfer.exports.saved_model import warmup_log
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.model_config import ModelConfig, Policy
from keras_transfer.serving.served_models import ServedModels
from keras_transfer.serving.versions import State, Versions, locate


@pytest.fixture
def base(saved, tmp_path):
    """A folder with version 1."""
    shutil.copytree(saved.folder, tmp_path / "colours" / "1")
    return tmp_path / "colours"


def add(base, number):
    shutil.copytree(base / "1", base / f".{number}.part")
    (base / f".{number}.part").rename(base / str(number))


def test_the_newest_answers_and_the_old_one_is_gone(base):
    versions = Versions(base, "colours")
    versions.look()
    old = versions.get("colours")
    add(base, 3)
    versions.look()

    assert (old.version, versions.get("colours").version) == (1, 3)
    assert versions.states == {1: State("END"), 3: State("AVAILABLE")}
    with pytest.raises(RequestError, match=r"Specific\(colours, 1\)"):
        versions.get("colours", 1)
    pixels = {"pixels": np.zeros((1, 16, 16, 3), "float32")}
    assert old.run("forward", pixels)["scores"].shape == (1, 2)  # who holds it may go on


def test_a_corrupt_version_is_refused_and_the_old_one_goes_on(base):
    versions = Versions(base, "colours")
    versions.look()
    add(base, 2)
    (base / "2" / "saved_model.pb").write_bytes(b"broken")
    versions.look()

    assert versions.get("colours").version == 1
    assert versions.states[2].state == "END"
    assert "cannot be served" in versions.states[2].error
    loads = []
    versions.load = lambda *words: loads.append(words)
    versions.look()
    assert loads == []  # not tried again while it is as it was


def test_a_version_without_its_weights_is_refused_until_they_are_there(base):
    versions = Versions(base, "colours")
    versions.look()
    add(base, 2)
    (base / "2" / "variables").rename(base / "kept")
    versions.look()
    assert versions.get("colours").version == 1

    (base / "kept").rename(base / "2" / "variables")
    versions.look()
    assert versions.get("colours").version == 2


def test_a_model_that_does_not_answer_its_own_requests_is_refused(base):
    add(base, 2)
    requests = base / "2" / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(requests)) as writer:
        writer.write(warmup_log("colours", {"image_bytes": [b"no image"]}))
    versions = Versions(base, "colours")
    versions.look()

    assert versions.get("colours").version == 1


def test_no_request_fails_while_versions_change(base, make_service, images):
    service = make_service(base, max_queue=10_000)
    found, stop = [], threading.Event()

    def hammer():
        while not stop.is_set():
            model = service.versions.get("colours")
            contents = np.array(images.contents[:1], object)
            asked = service.predict(model, "", {"image_bytes": contents})
            found.append((asked.model.version, asked.answer.result(30)["scores"][0]))

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for one in threads:
        one.start()
    for number in (2, 3):
        add(base, number)
        service.versions.look()
    stop.set()
    for one in threads:
        one.join()

    assert {version for version, _ in found} >= {1, 2}
    for _, scores in found:
        np.testing.assert_allclose(scores, images.wanted[0], atol=1e-5)


def test_it_watches_by_itself(base):
    versions = ServedModels([ModelConfig("colours", base)])
    versions.look()
    versions.watch(0.05)
    add(base, 2)
    deadline = threading.Event()
    while versions.get("colours").version != 2:
        assert not deadline.wait(0.05)
    versions.close()


def test_where_models_lie(base):
    assert locate(base) == (base, None)
    assert locate(base / "1") == (base, 1)
    assert locate(base.parent) == (base, None)
    shutil.copytree(base, base.parent / "other")
    with pytest.raises(BadConfiguration, match="colours, other; name one"):
        locate(base.parent)
    with pytest.raises(BadConfiguration, match="kt-recipe export RUN"):
        locate(base / "1" / "variables")


def test_one_version_for_ever(base):
    add(base, 2)
    versions = Versions(base, "colours", Policy(specific=(1,)))
    versions.look()

    assert versions.get("colours").version == 1


def test_what_lives_on_is_not_visited_by_each_collection(base):
    """A full collection would stop every thread for as long as it takes to visit TensorFlow."""
    gc.unfreeze()
    versions = Versions(base, "colours")
    versions.look()
    assert gc.get_freeze_count() > 100_000  # TensorFlow alone is more
    first = weakref.ref(versions.get("colours"))
    add(base, 2)
    versions.look()
    assert versions.get("colours").version == 2
    assert first() is None  # what was dropped is freed all the same
