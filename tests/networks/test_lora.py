"""LoRA: outputs with and without merging, files with plain kernels, layers that take it."""

import keras
import numpy as np
import pytest

from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.freezing import freeze, parameter_counts
from keras_transfer.networks.lora import enable_lora, merge_lora, merged_lora, without_lora
from keras_transfer.networks.text_backbones import build_text_backbone


def adapted(model, rank, alpha=None, *, seed=1, start="all"):
    """The model with LoRA, whose matrices are not at their start any more."""
    freeze(model, start, trainable="lora")
    enable_lora(model, rank, alpha, seed)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def dense(units=2):
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(units, name="block1_dense")(inputs))


def tokens():
    ids = np.arange(12).reshape(2, 6) + 2
    return {"token_ids": ids, "padding_mask": np.ones((2, 6), bool)}


def images(size):
    return np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")


NETWORKS = {
    "Conv2D": (lambda: build_backbone("convnet_small", image_size=8), images(8)),
    "DepthwiseConv2D": (
        lambda: build_backbone("mobilenet_v2", image_size=32, variant={"alpha": 0.35}),
        images(32),
    ),
    "EinsumDense": (
        lambda: build_text_backbone("transformer_tiny", vocabulary_size=20, length=6),
        tokens(),
    ),
}


def test_a_dense_layer_computes_the_kernel_plus_the_scaled_product():
    """x (W + alpha / r A B), by hand: [1 2 0] with W = 0, A = [1 0 1]', B = [2 -1], 6 / 1."""
    model = dense()
    model.layers[1].kernel.assign(np.zeros((3, 2)))
    freeze_all = {"lora_kernel_a": [[1], [0], [1]], "lora_kernel_b": [[2, -1]]}
    freeze(model, "block1_dense", trainable="lora")
    enable_lora(model, 1, 6, 0)
    for weight in model.trainable_variables:
        weight.assign(freeze_all[weight.name])
    x = np.array([[1, 2, 0]], "float32")

    np.testing.assert_allclose(model(x), [[12, -6]])
    merge_lora(model)

    np.testing.assert_allclose(model(x), [[12, -6]])
    np.testing.assert_allclose(model.layers[1].kernel, [[12, -6], [0, 0], [12, -6]])


@pytest.mark.parametrize("name", NETWORKS)
def test_merged_it_answers_as_before(name):
    build, x = NETWORKS[name]
    model = build()
    count = len(model.variables)
    plain = model(x).numpy()
    adapted(model, 2, 3)
    answer = model(x).numpy()

    merge_lora(model)

    assert len(model.variables) == count
    np.testing.assert_allclose(model(x), answer, rtol=1e-6, atol=1e-6 * np.abs(answer).max())
    assert np.abs(answer - plain).max() > 1e-3 * np.abs(plain).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_it_begins_with_the_outputs_of_the_pretrained_network(name):
    build, x = NETWORKS[name]
    model = build()
    plain = model(x).numpy()
    freeze(model, "all", trainable="lora")

    enable_lora(model, 4, None, 1)

    np.testing.assert_array_equal(model(x), plain)


def test_only_its_matrices_train_and_their_number_is_known():
    """Of a 3x3 convolution from 32 to 64: 2 (3 x 3 x 32 + 64) with rank 2, and so on."""
    model = build_backbone("convnet_small", image_size=8)
    total = model.count_params()
    adapted(model, 2)
    shapes = [(v.name, tuple(v.shape)) for v in model.layers[1].trainable_variables]

    assert shapes == [("lora_kernel_a", (3, 3, 3, 2)), ("lora_kernel_b", (2, 32))]
    assert {weight.name for weight in model.trainable_variables} == {
        "lora_kernel_a", "lora_kernel_b"
    }  # fmt: skip
    channels = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
    matrices = sum(2 * (9 * given + made) for given, made in channels)
    assert parameter_counts(model) == (matrices, total + matrices)


def test_layers_that_cannot_take_it_stay_frozen():
    model = adapted(NETWORKS["DepthwiseConv2D"][0](), 2)

    owners = {path.split("/")[0] for path in (v.path for v in model.trainable_variables)}
    assert not [name for name in owners if "depthwise" in name or "BN" in name]
    assert "block_3_expand" in owners


def test_a_kernel_with_a_constraint_stays_frozen():
    """Keras refuses LoRA there."""
    model = dense()
    x = keras.layers.Dense(2, kernel_constraint="non_neg", name="block2_dense")(model.output)
    model = adapted(keras.Model(model.input, x), 1, start="block1_dense")

    assert {v.path.split("/")[0] for v in model.trainable_variables} == {"block1_dense"}


def test_a_file_has_plain_merged_kernels_and_the_model_goes_on(tmp_path):
    build, x = NETWORKS["EinsumDense"]
    model = adapted(build(), 2, 3)
    answer, before = model(x).numpy(), [v.numpy() for v in model.variables]

    with merged_lora(model):
        model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")

    np.testing.assert_allclose(again(x), answer, rtol=1e-6, atol=1e-6)
    assert not [layer for layer in again._flatten_layers() if getattr(layer, "lora_rank", 0)]
    assert len(again.variables) < len(before)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    np.testing.assert_array_equal(model(x), answer)


def test_kernels_that_are_loaded_without_it_stay():
    model = adapted(dense(), 1, start="block1_dense")
    matrices = [v.numpy() for v in model.trainable_variables]

    with without_lora(model):
        assert len(model.variables) == 2
        model.layers[1].kernel.assign(np.ones((3, 2)))

    np.testing.assert_array_equal(model.layers[1]._kernel, np.ones((3, 2)))
    for variable, value in zip(model.trainable_variables, matrices, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_its_start_follows_the_seed_and_differs_between_layers():
    def starts(seed):
        inputs = keras.Input((3,))
        x = keras.layers.Dense(3, name="block1_a")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3, name="block1_b")(x))
        freeze(model, "all", trainable="lora")
        enable_lora(model, 2, None, seed)
        return [v.numpy() for v in model.trainable_variables if v.name == "lora_kernel_a"]

    one, same, other = starts(1), starts(1), starts(2)

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_in_mixed_precision_kernels_are_merged_in_float32(precision):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = adapted(dense(), 1, start="block1_dense")
        layer = model.layers[1]
        a, b = layer.lora_kernel_a.numpy(), layer.lora_kernel_b.numpy()
        wanted = layer._kernel.numpy() + a @ b

        merge_lora(model)
    finally:
        keras.config.set_dtype_policy(before)

    assert layer.kernel.dtype == "float32"
    np.testing.assert_allclose(layer.kernel, wanted, rtol=1e-6)


def test_the_next_stage_trains_the_kernels_again():
    model = adapted(NETWORKS["EinsumDense"][0](), 2)
    merge_lora(model)

    freeze(model, "all")

    assert parameter_counts(model) == (model.count_params(),) * 2
