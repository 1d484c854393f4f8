import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.freezing import freeze, parameter_counts


@pytest.fixture(scope="module")
def vgg():
    return build_backbone("vgg16", image_size=32)


@pytest.fixture(scope="module")
def convnet():
    return build_backbone("convnet_small", image_size=8)


def training(backbone):
    return [layer.name for layer in backbone.layers if layer.trainable_weights]


VGG_BLOCK5 = ["block5_conv1", "block5_conv2", "block5_conv3"]


@pytest.mark.parametrize(
    ("unfreeze", "trains"),
    [
        (None, []),
        ("none", []),
        ("block5", VGG_BLOCK5),
        ("block5_conv2", VGG_BLOCK5[1:]),
        ("block4_pool", VGG_BLOCK5),
        (0.2, VGG_BLOCK5),  # 2.6 of 13 layers, rounded up
        (3 / 13, VGG_BLOCK5),
        (1e-9, VGG_BLOCK5[2:]),
    ],
)
def test_it_trains_from_there_to_the_end(vgg, unfreeze, trains):
    freeze(vgg, unfreeze)

    assert training(vgg) == trains


@pytest.mark.parametrize("unfreeze", ["all", 1, 1.0, "block1", "input"])
def test_everything_trains(vgg, unfreeze):
    freeze(vgg, vgg.layers[0].name if unfreeze == "input" else unfreeze)

    assert len(training(vgg)) == 13


def test_freezing_again_forgets_what_was_before(vgg):
    freeze(vgg, "all")
    freeze(vgg, "block5")
    freeze(vgg)

    assert parameter_counts(vgg) == (0, 14_714_688)


def test_block5_of_vgg16_has_three_convolutions_of_512_by_512():
    """3 x (3 x 3 x 512 x 512 + 512)."""
    backbone = build_backbone("vgg16", image_size=32)
    freeze(backbone, "block5")

    assert parameter_counts(backbone) == (7_079_424, 14_714_688)


def test_batch_normalisation_stays_frozen_inside_what_trains(convnet):
    freeze(convnet, "block3")

    assert training(convnet) == ["block3_conv1", "block3_conv2"]


def test_batch_normalisation_trains_on_request_but_only_inside_what_trains(convnet):
    freeze(convnet, "block3", batch_norm="train")

    assert training(convnet) == ["block3_conv1", "block3_bn1", "block3_conv2", "block3_bn2"]


def test_frozen_batch_normalisation_keeps_its_statistics_in_training(convnet):
    freeze(convnet, "all")
    before = [one.numpy() for one in convnet.non_trainable_weights]

    convnet(np.ones((4, 8, 8, 3), "float32"), training=True)

    for one, old in zip(convnet.non_trainable_weights, before, strict=True):
        np.testing.assert_array_equal(one, old)


def test_a_model_frozen_by_keras_is_thawed(vgg):
    vgg.trainable = False

    freeze(vgg, "block5")

    assert training(vgg) == VGG_BLOCK5
    assert len(vgg.trainable_weights) == 6


@settings(deadline=None, max_examples=20)
@given(share=st.floats(0.001, 1))
def test_a_share_is_a_share_of_the_layers_with_weights(vgg, share):
    """Of VGG16's 13: at least that share, and less without the first of them."""
    freeze(vgg, share)

    assert len(training(vgg)) == pytest.approx(13 * share + 0.5, abs=0.5 + 1e-6)


@pytest.mark.parametrize("count", range(1, 14))
def test_a_share_that_comes_out_even_is_not_rounded_up(vgg, count):
    freeze(vgg, count / 13)

    assert len(training(vgg)) == count


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_what_is_no_share_is_refused(vgg, share):
    with pytest.raises(BadConfiguration, match="share of the layers above 0 and up to 1"):
        freeze(vgg, share)


def test_a_near_miss_is_suggested(vgg):
    with pytest.raises(UnknownName, match=r"block or layer .* 'blok5'\. Did you mean 'block5'\?"):
        freeze(vgg, "blok5")


def test_without_a_near_miss_the_blocks_are_listed_first(vgg):
    with pytest.raises(UnknownName, match="There are: block1, block2, block3, block4, block5, "):
        freeze(vgg, "xyz")


def test_a_refused_name_changes_nothing(vgg):
    freeze(vgg, "block5")
    with pytest.raises(UnknownName):
        freeze(vgg, "xyz")

    assert training(vgg) == VGG_BLOCK5


def test_blocks_are_known_in_a_model_read_from_a_file(convnet, tmp_path):
    convnet.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")

    freeze(again, "block3")

    assert training(again) == ["block3_conv1", "block3_conv2"]


def names(backbone):
    return {weight.name for weight in backbone.trainable_variables}


def test_bias_trains_biases_and_offsets_and_no_statistics(convnet):
    """Convolutions of convnet_small have no bias; 2 x (32 + 64 + 128) offsets."""
    freeze(convnet, "all", trainable="bias")

    assert names(convnet) == {"beta"}
    assert parameter_counts(convnet)[0] == 448


def test_bias_of_vgg16_is_one_number_a_channel(vgg):
    """Of block5: 3 x 512."""
    freeze(vgg, "block5", trainable="bias")

    assert names(vgg) == {"bias"}
    assert parameter_counts(vgg)[0] == 1536


def test_norm_trains_scale_and_offset_from_the_block_on(convnet):
    """4 x 128 in block3."""
    freeze(convnet, "block3", trainable="norm")

    assert [v.path for v in convnet.trainable_variables] == [
        f"block3_bn{number}/{name}" for number in (1, 2) for name in ("gamma", "beta")
    ]


@pytest.mark.parametrize(("batch_norm", "moves"), [("frozen", False), ("train", True)])
def test_statistics_move_only_on_request(convnet, batch_norm, moves):
    freeze(convnet, "all", batch_norm, "norm")
    before = [one.numpy() for one in convnet.non_trainable_weights]

    convnet(np.ones((4, 8, 8, 3), "float32"), training=True)

    same = [
        np.array_equal(one, old)
        for one, old in zip(convnet.non_trainable_weights, before, strict=True)
    ]
    assert all(same) is not moves
    assert names(convnet) == {"gamma", "beta"}


def test_fitting_changes_what_trains_and_nothing_else():
    backbone = build_backbone("convnet_small", image_size=8)
    freeze(backbone, "block2", trainable="norm")
    head = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(backbone.output))
    model = keras.Model(backbone.input, head)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = {weight.path: weight.numpy() for weight in backbone.weights}

    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    model.fit(x, np.array([0, 1, 0, 1]), verbose=0)

    changed = {w.path for w in backbone.weights if not np.array_equal(w, before[w.path])}
    assert changed == {w.path for w in backbone.trainable_weights}
    assert len(changed) == 8


@pytest.mark.parametrize("part", ["bias", "norm"])
def test_the_next_stage_forgets_which_weights_trained(convnet, part):
    freeze(convnet, "all")
    every = parameter_counts(convnet)
    freeze(convnet, "all", trainable=part)
    assert parameter_counts(convnet)[0] < every[0]

    freeze(convnet, "all")
    assert parameter_counts(convnet) == every
    freeze(convnet, "all", trainable=part)
    freeze(convnet)
    assert parameter_counts(convnet)[0] == 0


@pytest.mark.parametrize(
    ("unfreeze", "part", "message"),
    [
        ("block5", "norm", "norm: no unfrozen layer has normalisation .* Conv2D"),
        ("block5_pool", "bias", "bias: no unfrozen layer has a bias.*: none"),
        ("block5_pool", "lora", "lora: no unfrozen layer has a kernel that takes LoRA.*: none"),
    ],
)
def test_a_part_that_no_layer_has_is_refused(vgg, unfreeze, part, message):
    freeze(vgg)
    with pytest.raises(BadConfiguration, match=message):
        freeze(vgg, unfreeze, trainable=part)

    assert training(vgg) == []


def test_layers_without_lora_are_named():
    backbone = build_backbone("mobilenet_v2", image_size=32, variant={"alpha": 0.35})

    with pytest.raises(BadConfiguration, match="Layers with weights: BatchNormalization"):
        freeze(backbone, "Conv_1_bn", trainable="lora")
