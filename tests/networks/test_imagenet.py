import hashlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from keras_transfer.errors import BadConfiguration, BadWeights, UnknownName
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.imagenet import fetch, where
from keras_transfer.networks.published import IMAGENET, Published
from keras_transfer.networks.weights import load_backbone_weights

QUARTER = {"alpha": 0.25}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A Keras home of the test's own, on a machine without a network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    return tmp_path / "keras"


class PendingRequest(Exception):
    """Raised in place of a download, with what was asked for."""


def keras_asks(name, variant, size, monkeypatch):
    def ask(fname, origin, cache_subdir, file_hash=None):
        raise PendingRequest(fname, origin, cache_subdir, file_hash or "")

    monkeypatch.setattr(file_utils, "get_file", ask)
    constructor = getattr(keras.applications, BACKBONES[name].constructor.partition(":")[2])
    with pytest.raises(PendingRequest) as asked:
        constructor(include_top=False, weights="imagenet", input_shape=(size, size, 3), **variant)
    keras.backend.clear_session()
    return asked.value.args


FAST = [
    ("vgg16", {}, 64),
    ("mobilenet", {"alpha": 0.5}, 160),
    ("mobilenet_v2", {"alpha": 0.35}, 100),
    ("mobilenet_v3_small", {"minimalistic": True}, 224),
    ("efficientnet_b0", {}, 64),
    ("convnext_tiny", {}, 64),
]
SLOW = [
    *[
        (name, {}, max(row.least, 96))
        for name, row in BACKBONES.items()
        if "keras.app" in row.constructor
    ],
    *[
        (name, {"alpha": alpha}, size)
        for name in ("mobilenet", "mobilenet_v2")
        for alpha in BACKBONES[name].variants["alpha"]
        for size in (96, 128, 160, 192, 224)
    ],
    ("mobilenet_v3_small", {"alpha": 0.75}, 224),
    ("mobilenet_v3_large", {"alpha": 0.75}, 224),
    ("mobilenet_v3_large", {"minimalistic": True}, 224),
]


@pytest.mark.filterwarnings("ignore:.*Weights for input shape")
@pytest.mark.parametrize(
    ("name", "variant", "size"),
    [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW if case not in FAST)],
)
def test_the_table_says_what_keras_asks_for(name, variant, size, monkeypatch, home):
    file = where(name, variant, size)

    asked = keras_asks(name, variant, size, monkeypatch)

    assert (file.path.name, file.url, file.path.parent.name, file.hash) == asked
    assert file.path.parents[1] == home


def test_keras_home_is_the_users_by_default(monkeypatch):
    monkeypatch.delenv("KERAS_HOME")

    assert where("vgg16").path.parent == Path.home() / ".keras" / "models"


def test_the_native_size_is_the_default():
    assert where("mobilenet_v2").path.name.endswith("_1.0_224_no_top.h5")


@pytest.mark.parametrize(
    ("name", "variant"),
    [("convnet_small", {}), ("mobilenet_v3_small", {"alpha": 0.75, "minimalistic": True})],
)
def test_what_nobody_publishes_is_answered_with_the_alternatives(name, variant):
    with pytest.raises(BadWeights, match=r"no ImageNet weights of .* --weights none"):
        where(name, variant)


def test_wrong_names_and_values_are_answered():
    with pytest.raises(UnknownName, match="Did you mean 'vgg16'"):
        where("vgg-16")
    with pytest.raises(BadConfiguration, match="alpha of mobilenet"):
        where("mobilenet", {"alpha": 2})


def keras2(model, path):
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def test_a_file_in_keras_home_is_used(home):
    source, target = (
        build_backbone("mobilenet", image_size=128, variant=QUARTER) for _ in range(2)
    )
    keras2(source, home / "models" / "mobilenet_2_5_128_tf_no_top.h5")

    load_backbone_weights(target, "imagenet", name="mobilenet", variant=QUARTER)

    for ours, theirs in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_network_everything_that_helps_is_said(home):
    with pytest.raises(BadWeights) as error:
        load_backbone_weights(build_backbone("vgg16", image_size=32), "imagenet", name="vgg16")

    message = str(error.value)
    assert error.value.exit_code == 3
    for part in (
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/",
        "6d6bbae143d832006294945121d1f1fc",
        str(home / "models"),
        "KERAS_HOME",
        "--weights FILE",
        "--weights none",
    ):
        assert part in message


def test_no_hash_is_said_to_be_none():
    with pytest.raises(BadWeights, match="no hash is published"):
        fetch("mobilenet")


def test_a_folder_that_cannot_be_written_is_no_traceback(home):
    home.write_text("a file in the way")

    with pytest.raises(BadWeights, match="could not be downloaded"):
        fetch("vgg16")


def test_a_file_with_another_hash_is_refused_and_kept(home):
    file = home / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a download")

    with pytest.raises(BadWeights, match=hashlib.md5(b"half a download").hexdigest()):
        fetch("vgg16")
    assert file.read_bytes() == b"half a download"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_download_lands_in_keras_home_and_stdout_stays_empty(
    algorithm, home, tmp_path, monkeypatch, capfd
):
    origin = tmp_path / "published.h5"
    origin.write_bytes(b"weights")
    digest = hashlib.new(algorithm, b"weights").hexdigest()
    monkeypatch.setitem(IMAGENET, "vgg16", Published(origin.as_uri(), digest))

    assert not where("vgg16").present
    path = fetch("vgg16")

    assert path == home / "models" / "published.h5"
    assert path.read_bytes() == b"weights"
    assert where("vgg16").present
    assert capfd.readouterr().out == ""


def test_a_download_of_something_else_is_refused(tmp_path, monkeypatch):
    origin = tmp_path / "published.h5"
    origin.write_bytes(b"a page that says no")
    monkeypatch.setitem(IMAGENET, "vgg16", Published(origin.as_uri(), "0" * 32))

    with pytest.raises(BadWeights, match="hash"):
        fetch("vgg16")
