"""The head for masked words: its formula, its tied weights, and where its weights come from."""

import json
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from hub_text_networks import TOKENS, row_of, write_hugging_face

from keras_transfer.errors import BadConfiguration, BadWeights
from keras_transfer.networks.keras_files import load_keras
from keras_transfer.networks.masked_lm import HEAD_LAYERS, build_masked_network
from keras_transfer.networks.network import Network
from keras_transfer.networks.safetensors import read_tensors
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, build_text_backbone
from keras_transfer.workflows.masked_network import masked_network

SIZE, LENGTH = 30, 8


def built(name="transformer_tiny", size=SIZE):
    backbone = build_text_backbone(name, vocabulary_size=size, length=LENGTH)
    network = build_masked_network(backbone, "masked", "mask_positions", name)
    rng = np.random.default_rng(0)
    for weight in network.model.weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    return network


def inputs(size=SIZE):
    rng = np.random.default_rng(1)
    ids = rng.integers(5, size, (2, LENGTH)).astype("int32")
    mask = np.arange(LENGTH) < np.array([[6], [8]])
    return {
        "token_ids": tf.constant(ids),
        "padding_mask": tf.constant(mask),
        "mask_positions": tf.constant([[1, 4, 0], [2, 3, 7]]),
    }


def by_hand(network, given):
    """E norm(gelu(W h + b)) + c at the masked places, by NumPy."""
    layer = network.model.get_layer
    states = network.backbone({name: given[name] for name in ("token_ids", "padding_mask")})
    h = np.take_along_axis(states.numpy(), given["mask_positions"].numpy()[..., None], axis=1)
    kernel, bias = layer("masked_dense").get_weights()
    x = h @ kernel + bias
    x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    gamma, beta = layer("masked_norm").get_weights()
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * gamma + beta
    (embedding,), (shift,) = (
        layer(name).get_weights() for name in ("embeddings_token", "masked_bias")
    )
    return x @ embedding.T + shift


def test_logits_are_those_of_the_formula():
    network, given = built(), inputs()

    found = network.model(given)["masked"]

    assert found.shape == (2, 3, SIZE)
    np.testing.assert_allclose(found, by_hand(network, given), rtol=1e-4, atol=1e-5)


def test_the_projection_is_the_embedding_itself():
    network = built()
    paths = [weight.path for weight in network.model.trainable_weights]

    assert len([path for path in paths if "embeddings_token" in path]) == 1
    own = sum(network.model.get_layer(name).count_params() for name in HEAD_LAYERS)
    assert network.model.count_params() == network.backbone.count_params() + own


def test_a_saved_network_gives_the_same_and_stays_tied(tmp_path):
    network, given = built(), inputs()
    network.model.save(tmp_path / "n.keras")

    again = Network.of(load_keras(tmp_path / "n.keras"))

    np.testing.assert_allclose(again.model(given)["masked"], network.model(given)["masked"])
    assert again.model.count_params() == network.model.count_params()
    plain = {name: given[name] for name in ("token_ids", "padding_mask")}
    np.testing.assert_allclose(
        again.backbone({**given}), network.backbone(plain), rtol=1e-5, atol=1e-6
    )


def test_embeddings_that_cannot_be_reversed_are_refused(monkeypatch):
    pytest.importorskip("keras_hub")
    monkeypatch.setitem(TEXT_BACKBONES, "tiny", row_of("distil_bert"))
    with pytest.raises(BadConfiguration, match="no reverse projection"):
        built("tiny", len(TOKENS))


@pytest.mark.parametrize("family", ["bert", "electra"])
def test_networks_of_kerashub_have_the_head_that_kerashub_has(monkeypatch, family):
    """KerasHub's own MaskedLMHead on the same weights, also where embeddings are narrower."""
    keras_hub = pytest.importorskip("keras_hub")
    monkeypatch.setitem(TEXT_BACKBONES, "tiny", row_of(family))
    network, given = built("tiny", len(TOKENS)), inputs(len(TOKENS))
    embedding = network.model.get_layer("embeddings_token")
    if family == "electra":  # KerasHub's head has one width
        np.testing.assert_allclose(
            network.model(given)["masked"], by_hand(network, given), rtol=1e-3, atol=1e-4
        )
        return
    theirs = keras_hub.layers.MaskedLMHead(
        token_embedding=embedding,
        intermediate_activation=lambda x: keras.activations.gelu(x, approximate=True),
        layer_norm_epsilon=1e-12,
    )
    states = network.backbone({name: given[name] for name in ("token_ids", "padding_mask")})
    theirs(states, mask_positions=given["mask_positions"])
    for weight in theirs.weights:
        for name, part in (("dense", "masked_dense"), ("norm", "masked_norm")):
            if name in weight.path and "embedding" not in weight.path:
                own = {one.name: one for one in network.model.get_layer(part).weights}
                weight.assign(own[weight.name])
    theirs._bias.assign(network.model.get_layer("masked_bias").bias)

    np.testing.assert_allclose(
        network.model(given)["masked"],
        theirs(states, mask_positions=given["mask_positions"]),
        rtol=1e-3,
        atol=1e-4,
    )


def write_head(folder):
    """Add a head for masked words to the arrays of a directory of Hugging Face."""
    from safetensors.numpy import load_file, save_file

    rng = np.random.default_rng(3)
    width, names = 16, "cls.predictions"
    head = {
        f"{names}.transform.dense.weight": rng.normal(size=(width, width)),
        f"{names}.transform.dense.bias": rng.normal(size=width),
        f"{names}.transform.LayerNorm.weight": rng.normal(size=width),
        f"{names}.transform.LayerNorm.bias": rng.normal(size=width),
        f"{names}.bias": rng.normal(size=len(TOKENS)),
    }
    head = {name: values.astype("float32") for name, values in head.items()}
    file = folder / "model.safetensors"
    save_file({**load_file(file), **head}, file)
    return head


@pytest.fixture
def tiny(monkeypatch):
    pytest.importorskip("keras_hub")
    monkeypatch.setitem(TEXT_BACKBONES, "tiny", row_of("bert"))
    return build_text_backbone("tiny", vocabulary_size=len(TOKENS), length=LENGTH)


def test_the_head_of_a_directory_of_hugging_face_is_taken(tiny, tmp_path):
    write_hugging_face(tmp_path / "hf")
    head = write_head(tmp_path / "hf")

    network = masked_network(tiny, "tiny", f"preset:{tmp_path / 'hf'}")

    kernel, bias = network.model.get_layer("masked_dense").get_weights()
    # y = x W^T + b in PyTorch.
    np.testing.assert_array_equal(kernel, head["cls.predictions.transform.dense.weight"].T)
    np.testing.assert_array_equal(bias, head["cls.predictions.transform.dense.bias"])
    (shift,) = network.model.get_layer("masked_bias").get_weights()
    np.testing.assert_array_equal(shift, head["cls.predictions.bias"])


def test_without_a_head_it_starts_fresh_and_says_so(tiny, tmp_path, caplog):
    write_hugging_face(tmp_path / "hf")
    with caplog.at_level("INFO", "keras_transfer"):
        masked_network(tiny, "tiny", f"preset:{tmp_path / 'hf'}")

    assert "starts with random weights" in caplog.text


def test_arrays_are_read_as_safetensors_reads_them(tmp_path):
    from safetensors.numpy import save_file

    arrays = {
        "a": np.arange(6, dtype="float32").reshape(2, 3),
        "b": np.ones(4, "float16"),
        "c": np.zeros(2, "float64"),
    }
    save_file(arrays, tmp_path / "x.safetensors")

    found = read_tensors(tmp_path / "x.safetensors", ["a", "b", "other"])

    assert set(found) == {"a", "b"}
    assert all(found[name].dtype == "float32" for name in found)
    np.testing.assert_array_equal(found["a"], arrays["a"])
    np.testing.assert_array_equal(found["b"], arrays["b"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack("<Q", 10**12) + b"{}",
        struct.pack("<Q", 5) + b"{nope",
        struct.pack("<Q", 3) + b"[5]",
    ],
)
def test_a_damaged_file_is_named(tmp_path, content):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(BadWeights, match="Get the weights again"):
        read_tensors(file, ["a"]) or pytest.fail("nothing was missed")


def test_an_array_that_breaks_off_is_named(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(BadWeights, match="cannot be read"):
        read_tensors(file, ["a"])
