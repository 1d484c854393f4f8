"""Shorter batches of sequences: the same outputs and the same gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hub_text_networks import TOKENS, row_of

from keras_transfer.features.shortening import takes_sequences, without_padding
from keras_transfer.networks.free_length import with_free_length
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_text_network
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, build_text_backbone

LENGTH = 24
SIZES = (3, 9, 5, 1)


def batch(pairs):
    rng = np.random.default_rng(0)
    mask = np.arange(LENGTH) < np.array(SIZES)[:, None]
    inputs = {"token_ids": (rng.integers(5, 15, mask.shape) * mask).astype("int32")}
    inputs["padding_mask"] = mask
    if pairs:
        inputs["segment_ids"] = (mask & (np.arange(LENGTH) > 1)).astype("int32")
    return {name: tf.constant(values) for name, values in inputs.items()}


@pytest.mark.parametrize("graph", [False, True])
def test_only_what_is_padding_in_all_rows_is_cut(graph):
    """9 tokens become 16 positions."""
    given = batch(pairs=True)
    signature = [{n: tf.TensorSpec([None, None], x.dtype) for n, x in given.items()}]
    cut = tf.function(without_padding, input_signature=signature) if graph else without_padding

    found = cut(given)

    for name, values in found.items():
        np.testing.assert_array_equal(values, given[name][:, :16])
    full = {"padding_mask": tf.ones((2, 13), tf.bool), "features": tf.ones((2, 13, 4))}
    assert {name: x.shape for name, x in without_padding(full).items()} == {
        "padding_mask": (2, 13),
        "features": (2, 13, 4),
    }


def network_of(name, pairs):
    keras.utils.set_random_seed(0)
    backbone = build_text_backbone(name, vocabulary_size=len(TOKENS), length=LENGTH, pairs=pairs)
    return build_text_network(backbone, {"label": build_head(3, pooling=None)}, pooling="avg")


def gradients(model, inputs):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(inputs, training=True)["label"] ** 2)
    return tape.gradient(loss, model.trainable_variables)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("family", ["", "bert", "distil_bert", "electra"])
@pytest.mark.parametrize("unfreeze", ["all", "layer_1"])
def test_outputs_and_gradients_are_those_of_the_padded_batch(family, pairs, unfreeze, monkeypatch):
    name = "transformer_tiny"
    if family:
        pytest.importorskip("keras_hub")
        name = "tiny"
        monkeypatch.setitem(TEXT_BACKBONES, name, row_of(family))
    network = network_of(name, pairs)
    network.freeze(unfreeze)
    cut = network.cut()
    model = network.model if cut is None else cut.trainable
    inputs = batch(pairs and family != "distil_bert")
    if cut is not None:
        features = cut.frozen([inputs[name] for name in cut.inputs])
        inputs = {"features": features, "padding_mask": inputs["padding_mask"]}
    free = with_free_length(model)

    short = without_padding(inputs)
    assert takes_sequences(model)
    assert short["padding_mask"].shape == (4, 16)
    np.testing.assert_allclose(free(short)["label"], model(inputs)["label"], atol=1e-5)
    np.testing.assert_allclose(free(inputs)["label"], model(inputs)["label"], atol=1e-5)
    wanted = dict(
        zip((v.path for v in model.trainable_variables), gradients(model, inputs), strict=True)
    )
    assert len(wanted) == len(free.trainable_variables) > 2
    for variable, found in zip(free.trainable_variables, gradients(free, short), strict=True):
        dense = [tf.convert_to_tensor(one) for one in (found, wanted[variable.path])]
        np.testing.assert_allclose(*dense, atol=2e-5)


def test_pooled_features_have_no_length():
    network = network_of("transformer_tiny", pairs=False)
    network.freeze(None)
    assert not takes_sequences(network.cut().trainable)
