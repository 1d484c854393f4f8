"""Laws that every row of the table of backbones keeps; a new row is tested by being there."""

import gc

import keras
import pytest

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.freezing import freeze, parameter_counts

ONE_OF_EACH_FAMILY = {
    "vgg16",
    "resnet50",
    "inception_v3",
    "inception_resnet_v2",
    "xception",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "densenet121",
    "nasnet_mobile",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "convnext_tiny",
    "convnet_small",
}
SLOW_TO_BUILD = {"inception_resnet_v2", "nasnet_mobile", "densenet121"}
FAST = ONE_OF_EACH_FAMILY - SLOW_TO_BUILD
ROWS = [
    pytest.param(name, marks=[] if name in FAST else pytest.mark.slow)
    for name, row in BACKBONES.items()
    if row.hub is None  # those have tests of their own
]

LAST_BLOCKS = {
    "vgg16": "block5",
    "resnet50": "conv5",
    "inception_v3": "mixed10",
    "inception_resnet_v2": "conv_7b",
    "xception": "block14",
    "mobilenet": "conv_13",
    "mobilenet_v2": "Conv_1",
    "mobilenet_v3_small": "conv_1",
    "densenet121": "conv5",
    "nasnet_mobile": "normal_12",
    "efficientnet_b0": "top",
    "efficientnet_v2_b0": "top",
    "convnext_tiny": "stage_3",
    "convnet_small": "block3",
}


@pytest.fixture(scope="module", params=ROWS)
def built(request):
    """Name and backbone of a row, built for the smallest images that it takes."""
    name = request.param
    yield name, build_backbone(name, image_size=BACKBONES[name].least)
    keras.backend.clear_session()
    gc.collect()


def edges(model):
    """Pairs of layers (u, v) where v uses u's output, through operations that are no layers."""
    layers = set(model.layers)

    def before(operation):
        for node in operation._inbound_nodes:
            for parent in node.parent_nodes:
                source = parent.operation
                yield from [source] if source in layers else before(source)

    return [(u, v) for v in model.layers for u in before(v)]


def test_a_backbone_has_the_parameters_that_the_table_says(built):
    name, backbone = built

    assert backbone.name == "backbone"
    assert backbone.count_params() == BACKBONES[name].parameters


def test_a_backbone_gives_a_map_of_features(built):
    _, backbone = built

    assert len(backbone.output_shape) == 4
    assert min(backbone.output_shape[1:3]) >= 1


def test_no_block_feeds_an_earlier_one(built):
    _, backbone = built
    order = {layer: i for i, members in enumerate(blocks(backbone).values()) for layer in members}

    backwards = [(u.name, v.name) for u, v in edges(backbone) if order.get(u, 0) > order[v]]

    assert not backwards


def test_each_layer_lies_in_exactly_one_of_several_blocks(built):
    _, backbone = built
    found = blocks(backbone)

    members = [layer for block in found.values() for layer in block]

    assert len(found) >= 3
    assert members == [
        one for one in backbone.layers if not isinstance(one, keras.layers.InputLayer)
    ]
    assert all(any(layer.weights for layer in block) for block in found.values())


def test_the_last_block_has_the_name_that_its_users_know(built):
    name, backbone = built
    last = list(blocks(backbone))[-1]

    assert last == LAST_BLOCKS.get(name, last)


def test_each_block_can_be_unfrozen_and_more_of_them_train_more(built):
    """From the output to the input, each block adds parameters, until all but BN train."""
    _, backbone = built

    counts = []
    for block in reversed(blocks(backbone)):
        freeze(backbone, block)
        counts.append(parameter_counts(backbone)[0])
    freeze(backbone, "all")

    assert counts == sorted(set(counts))
    assert counts[-1] == parameter_counts(backbone)[0]


def test_too_small_images_are_refused_before_anything_is_built(built):
    name, _ = built
    least = BACKBONES[name].least

    with pytest.raises(BadConfiguration, match=f"at least {least} x {least} pixels"):
        build_backbone(name, image_size=least - 1)
