"""Networks of KerasHub as backbones, with every block a layer of the graph.

In KerasHub the blocks of ViT, DeiT, DINOv2, DINOv3, Swin and HGNetV2 lie inside of one layer, so
that they could neither be unfrozen nor cut one by one. Here KerasHub's own layers are called one
after the other: same weights, same outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import Any

import keras
from keras import ops

from keras_transfer.networks.cutting import in_order
from keras_transfer.networks.hub_family import WITHOUT_DROPOUT, Family, constructor, named
from keras_transfer.networks.hub_texts import TEXT_FAMILIES
from keras_transfer.tables import Table

__all__ = ["FAMILIES", "HubBackbone", "complete", "constructor"]


@keras.saving.register_keras_serializable("keras_transfer")
class HubBackbone(keras.Model):
    """A functional model of the layers of a network of KerasHub.

    Args:
        family: A row of ``FAMILIES``.
        config: Arguments of its constructor, without dropout and size of images.
        image_size: Side of the images in pixels.
        prefix_tokens: Number of tokens before those of the patches; None for maps.
        name: Of the model.
        dtype: Policy of its layers.

    Raises:
        BadConfiguration: The extra ``hub`` is not installed.
    """

    def __init__(
        self,
        family: str,
        config: Mapping[str, Any],
        image_size: int,
        *,
        prefix_tokens: int | None = None,
        name: str = "backbone",
        dtype: Any = None,
        **more: Any,
    ):
        row = FAMILIES[family]
        cls = constructor(row)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        given = {**complete(family, config), row.image_shape: (image_size, image_size, 3)}
        if row.position_shape:
            # KerasHub would resize positions whenever weights are saved and loaded, with loss.
            given[row.position_shape] = (image_size, image_size)
        network = cls(**given, dtype=policy)
        _hold_constants(network)
        images = keras.Input((image_size, image_size, 3), dtype="float32", name="images")
        features = row.unrolled(network, images)
        super().__init__(inputs=images, outputs=features, name=name, **more)
        self.family, self.config, self.image_size = family, dict(config), image_size
        self.prefix_tokens = prefix_tokens
        self._policy = policy

    def get_config(self) -> dict[str, Any]:
        """What it was made with."""
        return {
            "family": self.family,
            "config": self.config,
            "image_size": self.image_size,
            "prefix_tokens": self.prefix_tokens,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self._policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> HubBackbone:
        """Make it again, with random weights."""
        policy = keras.dtype_policies.deserialize(config["dtype"])
        return cls(**{**config, "dtype": policy})


def complete(family: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a network, without dropout."""
    found = dict(config)
    if "architecture" in found:
        # Hundreds of numbers, which KerasHub derives from a short description.
        module = import_module(f"keras_hub.src.utils.timm.convert_{family}")
        found = module.convert_backbone_config(found)
    rates = signature(constructor(FAMILIES[family])).parameters.keys() & WITHOUT_DROPOUT
    return {**found, **dict.fromkeys(rates, 0.0)}


def _graph(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    """A network that is a graph of its blocks already, on an input of ours."""
    tensors = {id(network.inputs[0]): images}
    for node in in_order(network):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(tensors)
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        tensors |= {id(old): new for old, new in zip(node.output_tensors, outputs, strict=True)}
    return tensors[id(network.outputs[0])]


def _hold_constants(network: keras.Model) -> None:
    """Make arrays of tensors that layers hold, such as numbers of positions.

    A graph takes an eager tensor as one more input, which some exports do not know how to fill.
    """
    for layer in network._flatten_layers():
        for key, value in list(vars(layer).items()):
            if ops.is_tensor(value) and not isinstance(value, keras.Variable):
                setattr(layer, key, ops.convert_to_numpy(value))


def _blocks(layers: Any, x: keras.KerasTensor, **arguments: Any) -> keras.KerasTensor:
    for number, layer in enumerate(layers):
        x = named(layer, f"encoder_block_{number}")(x, **arguments)
    return x


def _vit(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    _, embeddings, encoder = network.layers
    x = named(embeddings, "embeddings")(images)
    return named(encoder.layer_norm, "norm")(_blocks(encoder.encoder_layers, x))


def _deit(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    _, embeddings, encoder = network.layers
    x = named(embeddings, "embeddings")(images)
    for number, layer in enumerate(encoder.encoder_layers):
        layer = named(layer, f"encoder_block_{number}")
        # Without scores the second output is None, which no graph can have.
        x, _ = layer(x, return_attention_scores=True)
    return named(encoder.layer_norm, "norm")(x)


def _dinov2(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    x = named(network.embeddings, "embeddings")(images)
    x = _blocks(network.encoder.layers, x)
    return named(network.layernorm, "norm")(x)


def _dinov3(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    """The rotary position embedding of each block comes from that block's input alone.

    KerasHub computes it from the shape of the images, once for all blocks: a second tensor that
    goes past every place where the network could be cut.
    """
    x = named(network.embeddings, "embeddings")(images)
    prefix, side = 1 + network.num_register_tokens, images.shape[1] // network.patch_size
    rope = named(network.rope_embedding, "rope")
    rope.patch_size = 1  # it is given one place for each patch
    for number, layer in enumerate(network.encoder.layers):
        places = ops.reshape(x[:, prefix:, :1], (-1, side, side, 1))
        layer = named(layer, f"encoder_block_{number}")
        x = layer(x, position_embeddings=rope(places), num_prefix_tokens=prefix)
    return named(network.layernorm, "norm")(x)


def _siglip(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    """Its attention pooling stands where other networks have a class token."""
    x = named(network.embedding, "embeddings")(images)
    # KerasHub's embedding states one token too many, and gives the right number.
    x = ops.reshape(x, (-1, (images.shape[1] // network.patch_size) ** 2, x.shape[-1]))
    x = _blocks(network.encoder_layers, x)
    x = named(network.post_layer_norm, "norm")(x)
    pooled = named(network.head, "pool_attention")(x)
    return ops.concatenate([ops.expand_dims(pooled, 1), x], axis=1)


def _clip(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    x = named(network.embedding, "embeddings")(images)
    x = named(network.pre_layer_norm, "embeddings_norm")(x)
    x = _blocks(network.encoder_layers, x)
    return named(network.layer_norm, "norm")(x)


def _swin(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    """KerasHub's blocks do not state how many tokens they give, so that is said after each."""
    x = named(network.patch_embedding, "embeddings")(images)
    for number, stage in enumerate(network.stages):
        height, width = stage.input_resolution
        for place, block in enumerate(stage.blocks):
            x = named(block, f"stage_{number}_block_{place}")(x)
            x = ops.reshape(x, (-1, height * width, stage.dim))
        if stage.downsample is not None:
            name = f"stage_{number}_block_{len(stage.blocks) - 1}_downsample"
            x = named(stage.downsample, name)(x, H=height, W=width)
            height, width = network.stages[number + 1].input_resolution
            x = ops.reshape(x, (-1, height * width, 2 * stage.dim))
    x = named(network.norm, "norm")(x)
    return ops.reshape(x, (-1, height, width, stage.dim))


def _hgnetv2(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    x = named(network.embedder_layer, "stem")(images)
    for number, stage in enumerate(network.encoder_layer.stages_list):
        x = named(stage, f"stage_{number}")(x)
    return x


def _mobilenetv5(network: Any, images: keras.KerasTensor) -> keras.KerasTensor:
    """KerasHub leaves the names to Keras, which numbers them by what else was built."""
    _, stem, *blocks, fusion = network.layers
    counts = network.stackwise_num_blocks
    names = [
        f"stage_{stage}_block_{place}"
        for stage, count in enumerate(counts)
        for place in range(count)
    ]
    for layer, name in zip((stem, *blocks, fusion), ("stem", *names, "fusion"), strict=True):
        named(layer, name)
    return _graph(network, images)


_VIT_SIZES = ("patch_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")
_RESNET_SIZES = (
    "input_conv_filters",
    "stackwise_num_filters",
    "stackwise_num_blocks",
    "block_type",
)

FAMILIES: Table[Family] = Table(
    "family of KerasHub",
    {
        "vit": Family("vit.vit_backbone", "ViTBackbone", (*_VIT_SIZES[:-1], "mlp_dim"), _vit),
        "deit": Family("deit.deit_backbone", "DeiTBackbone", _VIT_SIZES, _deit),
        "dinov2": Family(
            "dinov2.dinov2_backbone",
            "DINOV2Backbone",
            (*_VIT_SIZES, "num_register_tokens"),
            _dinov2,
            position_shape="position_embedding_shape",
        ),
        "dinov3": Family(
            "dinov3.dinov3_backbone",
            "DINOV3Backbone",
            (*_VIT_SIZES, "num_register_tokens", "use_gated_mlp"),
            _dinov3,
        ),
        "siglip": Family(
            "siglip.siglip_vision_encoder",
            "SigLIPVisionEncoder",
            _VIT_SIZES,
            _siglip,
            part="vision_encoder",
        ),
        "clip": Family(
            "clip.clip_vision_encoder",
            "CLIPVisionEncoder",
            _VIT_SIZES,
            _clip,
            part="vision_encoder",
        ),
        "swin": Family(
            "swin_transformer.swin_transformer_backbone",
            "SwinTransformerBackbone",
            ("embed_dim", "depths", "num_heads", "window_size", "patch_size"),
            _swin,
        ),
        "hgnetv2": Family(
            "hgnetv2.hgnetv2_backbone",
            "HGNetV2Backbone",
            ("depths", "stackwise_stage_filters", "use_lightweight_conv_block"),
            _hgnetv2,
        ),
        "efficientnet": Family(
            "efficientnet.efficientnet_backbone",
            "EfficientNetBackbone",
            (
                "stackwise_width_coefficients",
                "stackwise_depth_coefficients",
                "stackwise_squeeze_and_excite_ratios",
                "stackwise_output_filters",
            ),
            _graph,
            image_shape="input_shape",
        ),
        "resnet": Family("resnet.resnet_backbone", "ResNetBackbone", _RESNET_SIZES, _graph),
        "cspnet": Family(
            "cspnet.cspnet_backbone",
            "CSPNetBackbone",
            ("stackwise_depth", "stackwise_num_filters", "stage_type", "block_type"),
            _graph,
        ),
        "mobilenetv5": Family(
            "mobilenetv5.mobilenetv5_backbone",
            "MobileNetV5Backbone",
            ("stackwise_num_filters", "stackwise_block_types"),
            _mobilenetv5,
        ),
        **TEXT_FAMILIES,
    },
)
