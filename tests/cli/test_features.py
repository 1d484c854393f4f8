"""``kt-recipe features``: files of features, and what is refused."""

import json

import numpy as np
import pytest
from processes import kt, paint

from keras_transfer import Features
from keras_transfer.networks.backbones import build_backbone


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Images, one of which is broken in another folder, and a file of weights."""
    folder = tmp_path_factory.mktemp("features")
    paint(folder / "images")
    paint(folder / "broken")
    (folder / "broken/red/3.png").write_bytes(b"no image")
    (folder / "there.npz").touch()
    build_backbone("convnet_small", image_size=16).save_weights(folder / "small.weights.h5")
    return folder


SMALL = ("--backbone", "convnet_small", "--weights", "small.weights.h5", "--image-size", 16)


def test_features_in_a_file(work, tmp_path):
    cache = {"KT_CACHE_DIR": str(tmp_path)}
    data = ("features", "--data", "images", *SMALL, "--engine", "keras")
    done = kt(*data, "--to", "all.npz", cwd=work, check=0, **cache)
    assert "all.npz  24 x 128 features of convnet_small; 24 computed, 0 from" in done.stdout
    every = Features.read(work / "all.npz")
    assert [every.classes[label] for label in every.labels] == 12 * ["blue"] + 12 * ["red"]

    loose = ("--no-labels", "--to", "loose.npz", "--json")
    document = json.loads(kt(*data, *loose, cwd=work, check=0, **cache).stdout)
    assert (document["shape"], document["computed"], document["cached"]) == ([24, 128], 0, 24)
    found = Features.read(work / "loose.npz")
    assert found.targets == {}
    np.testing.assert_array_equal(found.values, every.values)
    assert found.keys.tolist() == sorted(every.keys)


@pytest.mark.slow
def test_a_layer_of_one_split_in_a_table(work):
    parquet = pytest.importorskip("pyarrow.parquet")
    options = ("--layer", "block2", "--pooling", "max", "--split", "val", "--to", "val.parquet")
    kt("features", "--data", "images", *SMALL, *options, cwd=work, check=0)

    table = parquet.read_table(work / "val.parquet").to_pydict()
    assert [len(row) for row in table["features"]] == len(table["path"]) * [64]
    assert set(table["split"]) == {"val"}
    assert [path.split("/")[1] for path in table["path"]] == table["label"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((*SMALL, "--to", "a.npz"), 2, "features needs --data"),
        (("--data", "images", *SMALL), 2, "features needs --to"),
        (("--data", "images", "--to", "a.npz"), 2, "features needs --backbone"),
        (("--data", "images", *SMALL, "--to", "there.npz"), 2, "there.npz already exists"),
        (("--data", "images", *SMALL, "--to", "a.txt"), 2, "There are: .npz, .parquet"),
        (("--data", "images", "--backbone", "vgg61", "--to", "a.npz"), 2, "Did you mean 'vgg19'?"),
        (("--data", "broken", *SMALL, "--to", "a.npz"), 3, "broken/red/3.png"),
    ],
)
def test_what_cannot_be_computed_is_refused(work, words, code, said):
    done = kt("features", *words, cwd=work)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (work / "a.npz").exists()
