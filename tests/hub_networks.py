"""Tiny networks of each family of KerasHub, and rows of the table of backbones for them."""

from keras_transfer.networks.backbone_spec import BackboneSpec, HubPreset
from keras_transfer.networks.hub_backbones import HUB_BACKBONES

VIT = {"patch_size": 8, "num_layers": 3, "num_heads": 2, "hidden_dim": 16}
TOKENS = {**VIT, "intermediate_dim": 32}

TINY = {
    "vit": ({**VIT, "mlp_dim": 32}, 16, 1),
    "deit": (TOKENS, 16, 2),
    "dinov2": ({**TOKENS, "num_register_tokens": 0}, 16, 1),
    "dinov3": ({**TOKENS, "num_register_tokens": 4, "use_key_bias": False}, 16, 5),
    "siglip": (TOKENS, 16, 1),
    "clip": (TOKENS, 16, 1),
    "swin": (
        {
            "embed_dim": 8,
            "depths": (2, 2),
            "num_heads": (2, 4),
            "window_size": 2,
            "patch_size": 2,
        },
        16,
        None,
    ),
    "hgnetv2": (
        {
            "depths": (1, 1),
            "embedding_size": 8,
            "hidden_sizes": (16, 32),
            "stem_channels": (3, 8, 8),
            "hidden_act": "relu",
            "use_learnable_affine_block": False,
            "stackwise_stage_filters": ((8, 8, 16, 1, 2, 3), (16, 8, 32, 1, 2, 3)),
            "apply_downsample": (False, True),
            "use_lightweight_conv_block": (False, True),
        },
        32,
        None,
    ),
    "efficientnet": (
        {
            "stackwise_width_coefficients": (1.0, 1.0),
            "stackwise_depth_coefficients": (1.0, 1.0),
            "stackwise_kernel_sizes": (3, 3),
            "stackwise_num_repeats": (1, 1),
            "stackwise_input_filters": (8, 8),
            "stackwise_output_filters": (8, 16),
            "stackwise_expansion_ratios": (1, 2),
            "stackwise_squeeze_and_excite_ratios": (0, 0.25),
            "stackwise_strides": (1, 2),
            "stackwise_block_types": ("v1", "v1"),
        },
        16,
        None,
    ),
    "resnet": (
        {
            "input_conv_filters": (8, 8, 8),
            "input_conv_kernel_sizes": (3, 3, 3),
            "stackwise_num_filters": (64, 64),
            "stackwise_num_blocks": (1, 1),
            "stackwise_num_strides": (1, 2),
            "block_type": "basic_block_vd",
        },
        16,
        None,
    ),
    "cspnet": (
        {
            **HUB_BACKBONES["cspdarknet53"].hub.config,
            "stem_filters": 8,
            "stackwise_depth": (1, 1),
            "stackwise_num_filters": (8, 16),
            "stackwise_strides": (2, 2),
        },
        16,
        None,
    ),
    "mobilenetv5": (
        {
            "stackwise_block_types": [["er"], ["uir", "uir"]],
            "stackwise_num_blocks": [1, 2],
            "stackwise_num_filters": [[24], [48, 48]],
            "stackwise_strides": [[2], [2, 1]],
            "stackwise_act_layers": [["relu"], ["relu", "relu"]],
            "stackwise_exp_ratios": [[4.0], [6.0, 6.0]],
            "stackwise_se_ratios": [[0.0], [0.0, 0.0]],
            "stackwise_dw_kernel_sizes": [[0], [5, 5]],
            "stackwise_dw_start_kernel_sizes": [[0], [0, 0]],
            "stackwise_dw_end_kernel_sizes": [[0], [0, 0]],
            "stackwise_exp_kernel_sizes": [[3], [0, 0]],
            "stackwise_pw_kernel_sizes": [[1], [0, 0]],
            "stackwise_num_heads": [[0], [0, 0]],
            "stackwise_key_dims": [[0], [0, 0]],
            "stackwise_value_dims": [[0], [0, 0]],
            "stackwise_kv_strides": [[0], [0, 0]],
            "stackwise_use_cpe": [[False], [False, False]],
            "num_features": 32,
            "msfa_output_resolution": 2,
        },
        32,
        None,
    ),
}
"""By family: arguments of KerasHub's class, size of images, tokens before those of patches."""


def row_of(family):
    """A row of ``BACKBONES`` for the tiny network of a family."""
    config, size, prefix = TINY[family]
    full = next(row for row in HUB_BACKBONES.values() if row.hub.family == family)
    return BackboneSpec(
        "",
        full.preprocessing,
        full.marks,
        0,
        size=size,
        least=size,
        step=8 if prefix else 1,
        hub=HubPreset(family, config, full.hub.handle),
        prefix_tokens=prefix,
    )
