"""SavedModels of others: what they would do is looked up before they are loaded."""

import json
import re
import shutil

import pytest
import tensorflow as tf
from foreign_exports import add_to_graph
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

import keras_transfer
from keras_transfer.errors import BadData
from keras_transfer.exports.foreign import foreign_operators
from keras_transfer.exports.operators import CHECKPOINT, OPERATORS
from keras_transfer.inputs.image import Image
from keras_transfer.inputs.images.decode import RESIZE
from keras_transfer.inputs.text import Text
from keras_transfer.inputs.texts.vocabulary import Vocabulary
from keras_transfer.serving.models import Model


def write_file(path):
    tf.io.write_file(str(path), "written")


def read_file(path):
    return tf.io.read_file(str(path))


def in_a_branch(path):
    """Two functions deep, and only for an image that never comes."""
    tf.cond(tf.random.uniform([]) < 2, lambda: tf.io.write_file(str(path), "x"), tf.no_op)


def python(path):
    return tf.py_function(lambda: path.write_text("written"), [], [])


def printed(path):
    tf.print("text", output_stream=f"file://{path}")


def checkpoint(path):
    """Every SavedModel has this operator, but not where it can be asked for."""
    tf.raw_ops.SaveV2(
        prefix=str(path), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.zeros(3)]
    )


HOSTILE = {
    write_file: "WriteFile",
    read_file: "ReadFile",
    in_a_branch: "RandomUniform, WriteFile",
    python: "EagerPyFunc",
    printed: "PrintV2, StringFormat",
    checkpoint: "SaveV2",
}


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved.folder, tmp_path / "1", ignore=shutil.ignore_patterns("evaluations"))
    return tmp_path / "1"


@pytest.fixture
def hostile(folder):
    """A function that makes a SavedModel do something else as well."""

    def hostile(act):
        path = folder.parent / "written.txt"
        add_to_graph(folder, lambda: act(path))
        return folder, path

    return hostile


FAST = {write_file, python, checkpoint}


@pytest.mark.parametrize(
    "act", [pytest.param(act, marks=[pytest.mark.slow] * (act not in FAST)) for act in HOSTILE]
)
def test_a_saved_model_that_does_more_than_compute_is_not_loaded(hostile, odd, act):
    folder, path = hostile(act)
    said = re.escape(f"that no export of keras_transfer has: {HOSTILE[act]}. A model")

    with pytest.raises(BadData, match=said):
        keras_transfer.Export(folder).predict(odd[0])
    with pytest.raises(BadData, match=said):
        Model("m", 1, folder)
    assert not path.exists()


def test_a_trusted_one_does_what_it_likes(hostile, odd):
    folder, path = hostile(write_file)

    (found,) = keras_transfer.Export(folder, trust=True).predict(odd[0])

    assert found.error == ""
    assert path.read_text() == "written"
    Model("m", 1, folder, trust=True)


def test_a_trusted_one_must_be_what_was_written_all_the_same(folder, odd):
    (folder / "assets" / "recipe.yaml").write_text("other")

    with pytest.raises(BadData, match=r"recipe\.yaml: has changed"):
        keras_transfer.Export(folder, trust=True).predict(odd[0])


def changed(folder, change):
    file = folder / "saved_model.pb"
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(document.meta_graphs[0])
    file.write_bytes(document.SerializeToString())
    return foreign_operators(folder, "saved_model")


def test_the_graph_as_text_is_no_way_around(folder, odd):
    file = folder / "saved_model.pb"
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (folder / "saved_model.pbtxt").write_text(text_format.MessageToString(document))

    with pytest.raises(BadData, match=r"saved_model\.pbtxt: does not belong here"):
        keras_transfer.Export(folder).predict(odd[0])
    assert foreign_operators(folder, "saved_model") == ["a graph in saved_model.pbtxt"]
    file.unlink()
    with pytest.raises(BadData, match=r"saved_model\.pb cannot be loaded"):
        foreign_operators(folder, "saved_model")


def test_assets_lie_in_their_folder(folder):
    def change(graph):
        graph.asset_file_def[0].filename = "../../secret"

    assert changed(folder, change) == ["the asset '../../secret'"]


def test_a_graph_of_tensorflow_1_is_refused(folder):
    assert changed(folder, lambda graph: graph.ClearField("object_graph_def")) == [
        "a graph of TensorFlow 1"
    ]


def test_a_function_that_may_take_the_place_of_another_is_refused(folder):
    """Grappler swaps functions with the same value of this attribute."""

    def change(graph):
        for function in graph.graph_def.library.function:
            if any(node.op == "SaveV2" for node in function.node_def):
                function.attr["api_implements"].s = b"x"

    assert "SaveV2" in changed(folder, change)


def test_images_are_exported_without_foreign_operators(saved):
    assert foreign_operators(saved.folder, "saved_model") == []


def test_no_known_operator_leaves_the_graph():
    """By TensorFlow's own word: what is stateful is variables, control flow and checkpoints."""
    stateful = {name for name in OPERATORS if op_def_registry.get(name).is_stateful}

    assert stateful == {
        "Assert", "Case", "DisableCopyOnRead", "If", "ReadVariableOp", "ResourceGather",
        "ResourceGatherNd", "StatefulPartitionedCall", "VarHandleOp", "VarIsInitializedOp",
        "VariableShape", "While",
    }  # fmt: skip
    outward = re.compile("File|Save|Restore|Print|PyFunc|Table|Reader|Dataset|Send|Recv|Queue|Rpc")
    assert [name for name in OPERATORS if outward.search(name)] == ["ShardedFilename"]
    assert not OPERATORS & CHECKPOINT


def operators_of(function, shape, dtype):
    graph = tf.function(function).get_concrete_function(tf.TensorSpec(shape, dtype)).graph
    definition = graph.as_graph_def()
    nodes = [definition.node, *(one.node_def for one in definition.library.function)]
    return {node.op for some in nodes for node in some}


@pytest.mark.parametrize("resize", RESIZE)
def test_every_way_to_decode_has_known_operators(resize):
    bound = Image(resize=resize).bind(None, 32)

    found = operators_of(bound.prepare, [], tf.string)

    assert "DecodeImage" in found
    assert found <= OPERATORS


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_way_to_tokenize_has_known_operators(lowercase):
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##a")
    bound = Text(length=8, lowercase=lowercase).bind(Vocabulary(tokens), 0)

    assert operators_of(bound.prepare, [None], tf.string) <= OPERATORS


FAMILIES = [
    "vgg16", "resnet50", "resnet50_v2", "inception_v3", "inception_resnet_v2", "xception",
    "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "densenet121", "nasnet_mobile",
    "efficientnet_b0", "efficientnet_v2_b0", "convnext_tiny",
]  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES])
def test_every_family_of_backbones_has_known_operators(name):
    from keras_transfer.networks.backbones import BACKBONES, build_backbone
    from keras_transfer.networks.preprocessing import preprocess

    row = BACKBONES[name]
    backbone = build_backbone(name, image_size=row.least)

    def forward(pixels):
        return backbone(preprocess(pixels, row.preprocessing), training=False)

    assert operators_of(forward, [None, row.least, row.least, 3], tf.float32) <= OPERATORS


@pytest.mark.slow
def test_an_export_of_an_added_backbone_says_what_it_needs(run, tmp_path, caplog, monkeypatch):
    """Here by an operator that is not known any more."""
    monkeypatch.setattr("keras_transfer.exports.foreign.OPERATORS", OPERATORS - {"ResizeArea"})

    done = keras_transfer.export(run, tmp_path)

    assert "it loads with --trust only, for ResizeArea" in caplog.text
    assert json.loads((done.folder / "export.json").read_text())["parity"]["changed"] == 0
