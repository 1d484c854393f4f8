"""Backbones from KerasHub: architecture, preset, license and preprocessing of each.

The architectures are those of the presets, so that a network can be built, and its settings
checked, before anything is downloaded. Numbers of parameters are those that the presets state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_transfer.networks.backbone_spec import BackboneSpec, HubPreset, Marks

__all__ = ["HUB_BACKBONES"]

_TOKENS = Marks(r"(embeddings|encoder_block_\d+|norm|pool(?=_attention))(?:_|$)")
_SWIN = Marks(r"(embeddings|stage_\d+_block_\d+|norm)(?:_|$)")
_STAGES = Marks(r"(stem|stage_\d+(?:_block_\d+)?|fusion)(?:_|$)")
_RESNET = Marks(r"(conv1|conv2|conv3|stack\d+_block\d+)(?:_|$)")
_CSPNET = Marks(r"(?:csp_(stem)|(stage_\d+))_")
_EFFICIENTNET = Marks(r"(?:(stem|top)_|(block\d+)[a-z])")


def _vit(width: int, heads: int, patch: int, depth: int = 12) -> dict[str, Any]:
    sizes = {"patch_size": patch, "num_layers": depth, "hidden_dim": width, "num_heads": heads}
    return {**sizes, "intermediate_dim": 4 * width}


def _tokens(
    hub: HubPreset, preprocessing: str, parameters: int, prefix_tokens: int, **more: Any
) -> BackboneSpec:
    patch = hub.config["patch_size"]
    return BackboneSpec(
        "",
        preprocessing,
        _TOKENS,
        parameters,
        least=2 * patch,
        step=patch,
        hub=hub,
        prefix_tokens=prefix_tokens,
        **more,
    )


def _maps(hub: HubPreset, marks: Marks, parameters: int, **more: Any) -> BackboneSpec:
    return BackboneSpec("", more.pop("preprocessing", "torch"), marks, parameters, hub=hub, **more)


def _dinov2(width: int, heads: int, name: str) -> HubPreset:
    config = {**_vit(width, heads, 14), "num_register_tokens": 0}
    return HubPreset("dinov2", config, f"kaggle://keras/dinov2/keras/{name}/1")


def _dinov3(width: int, heads: int, name: str) -> HubPreset:
    config = {**_vit(width, heads, 16), "num_register_tokens": 4, "use_key_bias": False}
    handle = f"kaggle://keras/dinov3/keras/dinov3_vit_{name}_lvd1689m/1"
    return HubPreset("dinov3", config, handle, "DINOv3 License", gated=True)


def _resnet(blocks: tuple[int, ...], block: str, name: str) -> HubPreset:
    folder = "resnet_vd" if block.endswith("vd") else "resnetv1"
    stem = ((32, 32, 64), (3, 3, 3)) if block.endswith("vd") else ((64,), (7,))
    config = {
        "input_conv_filters": stem[0],
        "input_conv_kernel_sizes": stem[1],
        "stackwise_num_filters": (64, 128, 256, 512),
        "stackwise_num_blocks": blocks,
        "stackwise_num_strides": (1, 2, 2, 2),
        "block_type": block,
    }
    version = 2 if folder == "resnet_vd" else 3
    return HubPreset("resnet", config, f"kaggle://keras/{folder}/keras/{name}/{version}")


_VIT = {key: value for key, value in _vit(768, 12, 16).items() if key != "intermediate_dim"}

_EFFICIENTNET_LITE0 = {
    "stackwise_width_coefficients": (1.0,) * 7,
    "stackwise_depth_coefficients": (1.0,) * 7,
    "stackwise_kernel_sizes": (3, 3, 5, 3, 5, 5, 3),
    "stackwise_num_repeats": (1, 2, 2, 3, 3, 4, 1),
    "stackwise_input_filters": (32, 16, 24, 40, 80, 112, 192),
    "stackwise_output_filters": (16, 24, 40, 80, 112, 192, 320),
    "stackwise_expansion_ratios": (1, 6, 6, 6, 6, 6, 6),
    "stackwise_squeeze_and_excite_ratios": (0,) * 7,
    "stackwise_strides": (1, 2, 2, 2, 1, 2, 1),
    "stackwise_block_types": ("v1",) * 7,
    "min_depth": None,
    "activation": "relu6",
    "include_stem_padding": True,
    "use_depth_divisor_as_min_depth": True,
    "cap_round_filter_decrease": True,
    "stem_conv_padding": "valid",
    "batch_norm_momentum": 0.9,
    "batch_norm_epsilon": 1e-5,
}

_HGNETV2_B4 = {
    "depths": (1, 1, 3, 1),
    "embedding_size": 48,
    "hidden_sizes": (128, 512, 1024, 2048),
    "stem_channels": (3, 32, 48),
    "hidden_act": "relu",
    "use_learnable_affine_block": False,
    "stackwise_stage_filters": (
        (48, 48, 128, 1, 6, 3),
        (128, 96, 512, 1, 6, 3),
        (512, 192, 1024, 3, 6, 5),
        (1024, 384, 2048, 1, 6, 5),
    ),
    "apply_downsample": (False, True, True, True),
    "use_lightweight_conv_block": (False, False, True, True),
}

_CSPDARKNET53 = {
    "stem_filters": 32,
    "stem_kernel_size": 3,
    "stem_strides": 1,
    "stackwise_depth": (1, 2, 8, 8, 4),
    "stackwise_num_filters": (64, 128, 256, 512, 1024),
    "stackwise_strides": (2, 2, 2, 2, 2),
    "bottle_ratio": (0.5, 1.0),
    "block_ratio": (1.0, 0.5),
    "expand_ratio": (2.0, 1.0),
    "stage_type": "csp",
    "block_type": "dark_block",
    "groups": 1,
    "down_growth": True,
    "stem_padding": "same",
    "stem_pooling": None,
    "avg_down": False,
    "cross_linear": False,
}

_SWIN_TINY = {
    "embed_dim": 96,
    "depths": (2, 2, 6, 2),
    "num_heads": (3, 6, 12, 24),
    "window_size": 7,
    "patch_size": 4,
}

HUB_BACKBONES: Mapping[str, BackboneSpec] = {
    "dinov2_small": _tokens(_dinov2(384, 6, "dinov2_small"), "torch", 21_727_872, 1),
    "dinov2_base": _tokens(_dinov2(768, 12, "dinov2_base"), "torch", 85_923_072, 1),
    "dinov3_small": _tokens(_dinov3(384, 6, "small"), "torch", 21_596_544, 5),
    "dinov3_base": _tokens(_dinov3(768, 12, "base"), "torch", 85_660_416, 5),
    # Its attention pooling is the token before those of the patches.
    "siglip2_base": _tokens(
        HubPreset(
            "siglip",
            _vit(768, 12, 16),
            "kaggle://keras/siglip/keras/siglip2_base_patch16_224/1",
        ),
        "tf",
        92_884_420,
        1,
    ),
    "clip_vit_b16": _tokens(
        HubPreset(
            "clip",
            _vit(768, 12, 16),
            "kaggle://keras/clip/keras/clip_vit_base_patch16/3",
            "MIT",
        ),
        "clip",
        85_799_621,
        1,
    ),
    "vit_b16": _tokens(
        HubPreset(
            "vit",
            {**_VIT, "mlp_dim": 3072},
            "kaggle://keras/vit/keras/vit_base_patch16_224_imagenet/4",
        ),
        "tf",
        85_798_656,
        1,
    ),
    "deit_small": _tokens(
        HubPreset(
            "deit",
            _vit(384, 6, 16),
            "kaggle://keras/deit/keras/deit_small_distilled_patch16_224_imagenet/1",
        ),
        "torch",
        21_666_432,
        2,
    ),
    "swin_tiny": _maps(
        HubPreset(
            "swin",
            _SWIN_TINY,
            "kaggle://keras/swin-transformer/keras/swin_tiny_patch4_window7_224/1",
            "MIT",
        ),
        _SWIN,
        27_519_354,
        # Windows of 7 patches of 4 pixels, and three halvings.
        least=224,
        step=224,
    ),
    "hgnetv2_b4": _maps(
        HubPreset(
            "hgnetv2",
            _HGNETV2_B4,
            "kaggle://keras/hgnetv2/keras/hgnetv2_b4_ssld_stage2_ft_in1k/1",
        ),
        _STAGES,
        13_599_072,
    ),
    "efficientnet_lite0": _maps(
        HubPreset(
            "efficientnet",
            _EFFICIENTNET_LITE0,
            "kaggle://keras/efficientnet/keras/efficientnet_lite0_ra_imagenet/2",
        ),
        _EFFICIENTNET,
        3_413_024,
    ),
    "resnet18": _maps(
        _resnet((2, 2, 2, 2), "basic_block", "resnet_18_imagenet"), _RESNET, 11_186_112
    ),
    "resnet50_timm": _maps(
        _resnet((3, 4, 6, 3), "bottleneck_block", "resnet_50_imagenet"), _RESNET, 23_561_152
    ),
    "resnet18_vd": _maps(
        _resnet((2, 2, 2, 2), "basic_block_vd", "resnet_vd_18_imagenet"), _RESNET, 11_209_824
    ),
    "resnet50_vd": _maps(
        _resnet((3, 4, 6, 3), "bottleneck_block_vd", "resnet_vd_50_ssld_v2_imagenet"),
        _RESNET,
        23_580_512,
    ),
    "mobilenet_v5": _maps(
        HubPreset(
            "mobilenetv5",
            {"architecture": "mobilenetv5_300m"},
            "kaggle://keras/mobilenetv5/keras/mobilenetv5_300m_enc_gemma3n/1",
            "Gemma Terms of Use",
            gated=True,
        ),
        _STAGES,
        294_284_096,
        preprocessing="unit",
        size=768,
    ),
    "cspdarknet53": _maps(
        HubPreset(
            "cspnet",
            _CSPDARKNET53,
            "kaggle://keras/cspdarknet/keras/csp_darknet_53_ra_imagenet/2",
        ),
        _CSPNET,
        26_652_512,
        size=256,
    ),
}
"""By the name of the backbone. Images are square; what else a preset says, its file decides."""
