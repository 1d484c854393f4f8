"""Exports and weights from others, on the command line: the file is named, the exit code is 3."""

import shutil

import h5py
import numpy as np
import pytest
import tensorflow as tf
from foreign_exports import add_to_graph
from processes import kt


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(
        saved.folder, tmp_path / "pets" / "1", ignore=shutil.ignore_patterns("evaluations")
    )
    return tmp_path / "pets" / "1"


def refused(*words, cwd, said):
    done = kt(*words, cwd=cwd, check=3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_damaged_export_is_named(folder, odd, tmp_path):
    file = folder / "variables" / "variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    refused("predict", folder, odd[0], cwd=tmp_path, said=f"{file}: has changed")
    serve = ["serve", folder.parent, "--port", "0", "--no-grpc"]
    refused(*serve, cwd=tmp_path, said=f"{file}: has changed")


def test_a_model_with_foreign_operators_needs_trust(folder, odd, tmp_path):
    written = tmp_path / "written.txt"
    add_to_graph(folder, lambda: tf.io.write_file(str(written), "x"))

    for words in (["predict", folder, odd[0]], ["serve", folder, "--port", "0", "--no-grpc"]):
        refused(*words, cwd=tmp_path, said="no export of keras_transfer has: WriteFile")
    assert not written.exists()
    done = kt("predict", folder, odd[0], "--trust", cwd=tmp_path, check=0)

    assert odd[0].name in done.stdout
    assert written.read_text() == "x"


def test_weights_that_lie_in_another_file_are_refused(tmp_path):
    (tmp_path / "secret.txt").write_text("user:password")
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/conv2d/vars/1"] = np.zeros(32, "float32")
        kernel = {"external": [(str(tmp_path / "secret.txt"), 0, 8)], "dtype": "float32"}
        file.create_dataset("layers/conv2d/vars/0", (2,), **kernel)

    words = ["weights", "verify", "convnet_small", "w.weights.h5"]
    refused(*words, cwd=tmp_path, said="w.weights.h5 cannot be read as weights: /layers/conv2d")
