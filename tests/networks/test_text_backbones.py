"""Networks for token ids, and how their sequences become vectors."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.sequence_pooling import SEQUENCE_POOLINGS
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, build_text_backbone

WORDS = 50


def tiny(length=16, dropout=0.0):
    return build_text_backbone(
        "transformer_tiny", vocabulary_size=WORDS, length=length, dropout=dropout
    )


def classifier(backbone, pooling="avg", name="logits"):
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in backbone.input.items()
    }
    vector = SEQUENCE_POOLINGS[pooling](backbone(inputs), inputs["padding_mask"])
    return keras.Model(inputs, keras.layers.Dense(3, name=name)(vector))


def sentences(length, sizes=(5, 16, 2), filler=0):
    """Tokens 1 to 49 at random, the same for every length, then padding."""
    rng = np.random.default_rng(0)
    ids = np.full((len(sizes), length), filler, np.int32)
    for row, size in enumerate(sizes):
        ids[row, :size] = rng.integers(1, WORDS, 16)[:size]
    mask = np.arange(length) < np.array(sizes)[:, np.newaxis]
    return {"token_ids": ids, "padding_mask": mask}


def answers(model, batch):
    return keras.ops.convert_to_numpy(model(batch, training=False))


# --- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [key for key, row in TEXT_BACKBONES.items() if not row.hub])
def test_each_network_gives_a_sequence_and_has_its_blocks(name):
    row = TEXT_BACKBONES[name]
    backbone = build_text_backbone(name, vocabulary_size=WORDS, length=16)

    found = blocks(backbone)

    assert backbone.name == "backbone"
    assert {k: (t.shape, t.dtype) for k, t in backbone.input.items()} == {
        "token_ids": ((None, 16), "int32"),
        "padding_mask": ((None, 16), "bool"),
    }
    assert backbone.output.shape == (None, 16, row.sizes["width"])
    assert [*found] == ["embeddings", *(f"layer_{n}" for n in range(row.sizes["depth"]))]
    named = {layer.name: block for block, layers in found.items() for layer in layers}
    assert all(layer.startswith(f"{block}_") for layer, block in named.items())
    assert sum(
        w.size for ls in found.values() for la in ls for w in map(np.asarray, la.weights)
    ) == (backbone.count_params())


def test_parameters_are_as_many_as_counted_by_hand():
    """Per block of width 32: 4 x (32 x 32 + 32) of attention, 32 x 128 + 128 + 128 x 32 + 32 of the
    feed-forward network and 2 x 64 of normalisation; 64 more at the end; 50 + 512 embeddings."""
    block = 4 * 1056 + 4224 + 4128 + 128

    assert tiny().count_params() == 2 * block + 64 + 562 * 32


def test_unknown_names_and_lengths_are_refused():
    with pytest.raises(UnknownName, match="Did you mean 'transformer_small'"):
        build_text_backbone("transformer_smal", vocabulary_size=9, length=8)
    with pytest.raises(BadConfiguration, match="2 to 512 tokens, not 513"):
        build_text_backbone("transformer_tiny", vocabulary_size=9, length=513)


def test_looking_at_the_table_imports_no_keras():
    code = (
        "import sys, keras_transfer.networks.text_backbones as t; assert len(t.TEXT_BACKBONES);"
        "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- padding ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", SEQUENCE_POOLINGS)
def test_logits_do_not_depend_on_the_length_of_padding(pooling):
    short, long = classifier(tiny(16), pooling), classifier(tiny(32), pooling)
    long.set_weights(short.get_weights())

    np.testing.assert_allclose(
        answers(short, sentences(16)), answers(long, sentences(32)), atol=1e-5
    )


@pytest.mark.parametrize("pooling", SEQUENCE_POOLINGS)
def test_logits_do_not_depend_on_what_is_padded_with(pooling):
    model = classifier(tiny(), pooling)

    np.testing.assert_allclose(
        answers(model, sentences(16)), answers(model, sentences(16, filler=7)), atol=1e-6
    )


def test_tokens_attend_to_each_other_and_know_their_places():
    """Changing or swapping others changes what comes out at the first token."""
    backbone = tiny()
    batch = {"token_ids": np.array([[1, 2, 3] + [0] * 13], "int32")}
    batch["padding_mask"] = batch["token_ids"] > 0

    def first(ids):
        return answers(backbone, batch | {"token_ids": np.array([ids + [0] * 13], "int32")})[0, 0]

    assert abs(first([1, 2, 3]) - first([1, 2, 4])).max() > 1e-4
    assert abs(first([1, 2, 3]) - first([1, 3, 2])).max() > 1e-4


def test_between_two_blocks_nothing_passes_but_the_sequence_and_the_mask():
    """What a cut needs: the second half takes the first half's features and the raw mask."""
    backbone = tiny()
    boundary = backbone.get_layer("layer_0_feed_forward_add").output
    first = keras.Model(backbone.input, boundary)
    second = keras.Model([boundary, backbone.input["padding_mask"]], backbone.output)
    batch = sentences(16)

    passed = second([first(batch), tf.constant(batch["padding_mask"])])

    np.testing.assert_array_equal(passed, backbone(batch))


def test_dropout_acts_in_training_only_where_it_is_asked_for():
    batch = sentences(16)
    still, dropping = tiny(), tiny(dropout=0.5)
    dropping.set_weights(still.get_weights())

    np.testing.assert_array_equal(still(batch, training=True), still(batch, training=False))
    assert np.abs(dropping(batch, training=True) - dropping(batch, training=False)).max() > 0.1
    np.testing.assert_array_equal(dropping(batch, training=False), still(batch, training=False))


# --- pooling ----------------------------------------------------------------------------------

SEQUENCE = np.array(
    [[[1.0, -8.0], [3.0, -2.0], [99.0, 99.0]], [[5.0, 0.0], [4.0, 1.0], [0.0, 5.0]]]
)
MASK = np.array([[True, True, False], [True, True, True]])
POOLED = {
    "avg": [[2.0, -5.0], [3.0, 2.0]],
    "max": [[3.0, -2.0], [5.0, 5.0]],
    "token": [[1.0, -8.0], [5.0, 0.0]],
}


def pooler(pooling, dtype="float32"):
    sequence, mask = keras.Input((3, 2), dtype=dtype), keras.Input((3,), dtype="bool")
    return keras.Model([sequence, mask], SEQUENCE_POOLINGS[pooling](sequence, mask))


@pytest.mark.parametrize("pooling", SEQUENCE_POOLINGS)
def test_poolings_by_hand(pooling):
    np.testing.assert_allclose(
        pooler(pooling)([SEQUENCE.astype("float32"), MASK]), POOLED[pooling], rtol=1e-6
    )


@pytest.mark.parametrize("pooling", SEQUENCE_POOLINGS)
def test_the_last_layer_of_a_pooling_is_called_pool(pooling):
    assert pooler(pooling).layers[-1].name == "pool"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("pooling", SEQUENCE_POOLINGS)
def test_poolings_keep_half_precision_finite(pooling, policy):
    """Three times 30,000 is more than float16 holds, their mean is not; padding is no NaN."""
    keras.config.set_dtype_policy(policy)
    try:
        dtype = policy.removeprefix("mixed_")
        model = pooler(pooling, dtype)
        large = tf.cast(np.full((1, 3, 2), 3e4), dtype)
        found = [model([large, tf.constant(mask[np.newaxis])]) for mask in (MASK[1], MASK[0])]
    finally:
        keras.config.set_dtype_policy("float32")

    for vector in found:
        assert vector.dtype == dtype
        np.testing.assert_allclose(np.asarray(vector, "float32"), 3e4, rtol=1e-2)


def test_nothing_to_average_gives_zeros_not_nan():
    model = pooler("avg")

    assert np.asarray(model([SEQUENCE.astype("float32"), np.zeros_like(MASK)])).tolist() == (
        [[0.0, 0.0]] * 2
    )


# --- where it runs ----------------------------------------------------------------------------

READING = """
import sys, json, keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
batch = dict(np.load(sys.argv[2]))
print(json.dumps(np.asarray(model(batch)).tolist()))
assert not [name for name in sys.modules if name.startswith("keras_transfer")]
"""


@pytest.mark.slow
def test_a_saved_file_loads_without_the_package(tmp_path):
    model, batch = classifier(tiny()), sentences(16)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "batch.npz", **batch)

    done = subprocess.run(
        [sys.executable, "-c", READING, "model.keras", "batch.npz"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        np.array(json.loads(done.stdout.splitlines()[-1])), answers(model, batch), atol=1e-6
    )


def served(model, batch_size):
    """The model as a function with two named inputs, and its module."""
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]

    @tf.function(autograph=False)
    def forward(token_ids, padding_mask):
        batch = {"token_ids": token_ids, "padding_mask": padding_mask}
        return {"logits": model(batch, training=False)}

    specs = [
        tf.TensorSpec([batch_size, 16], tf.int32, name="token_ids"),
        tf.TensorSpec([batch_size, 16], tf.bool, name="padding_mask"),
    ]
    return module, forward, specs


@pytest.mark.slow
@pytest.mark.parametrize("pooling", SEQUENCE_POOLINGS)
def test_litert_gives_the_same_logits(pooling, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model, batch = classifier(tiny(), pooling), sentences(16)
    module, forward, specs = served(model, 1)
    signature = forward.get_concrete_function(*specs)
    tf.saved_model.save(module, str(tmp_path), signatures=signature)

    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path)).convert()

    run = interpreter.Interpreter(model_content=content).get_signature_runner()
    rows = [run(**{name: values[[i]] for name, values in batch.items()}) for i in range(3)]
    found = np.concatenate([row["logits"] for row in rows])
    np.testing.assert_allclose(found, answers(model, batch), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", SEQUENCE_POOLINGS)
def test_onnx_gives_the_same_logits(pooling):
    runtime, tf2onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("tf2onnx")
    model, batch = classifier(tiny(), pooling), sentences(16)
    _, forward, specs = served(model, None)

    converted, _ = tf2onnx.convert.from_function(forward, specs, opset=17)

    session = runtime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(session.run(None, batch)[0], answers(model, batch), atol=1e-5)


@pytest.mark.slow
def test_a_saved_model_gives_the_same_logits(tmp_path):
    model, batch = classifier(tiny()), sentences(16)
    module, forward, specs = served(model, None)
    signature = forward.get_concrete_function(*specs)
    tf.saved_model.save(module, str(tmp_path), signatures=signature)

    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]

    tensors = {name: tf.constant(values) for name, values in batch.items()}
    np.testing.assert_allclose(loaded(**tensors)["logits"], answers(model, batch), atol=1e-6)
