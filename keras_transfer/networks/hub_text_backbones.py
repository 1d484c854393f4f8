"""Text backbones from KerasHub: architecture, preset and license of each.

Presets of other vocabularies fit too, by ``preset:DIR``: those that keep upper case, or of many
languages. Numbers of parameters are those that the presets state, without their pooler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from keras_transfer.networks.backbone_spec import HubPreset

__all__ = ["HUB_TEXT_BACKBONES", "HubText"]


class HubText(NamedTuple):
    """A network of KerasHub, and its number of parameters with the vocabulary of its preset."""

    hub: HubPreset
    parameters: int


def _encoder(
    family: str, sizes: tuple[int, int, int, int], handle: str, parameters: int, **more: int
) -> HubText:
    """``sizes``: layers, attention heads, width, width inside of the feed-forward networks."""
    names = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim")
    config = {**dict(zip(names, sizes, strict=True)), **more}
    return HubText(HubPreset(family, config, f"kaggle://keras/{handle}"), parameters)


def _bert(depth: int, heads: int, width: int, name: str, parameters: int) -> HubText:
    handle = f"bert/keras/bert_{name}_en_uncased/3"
    return _encoder("bert", (depth, heads, width, 4 * width), handle, parameters)


HUB_TEXT_BACKBONES: Mapping[str, HubText] = {
    "bert_tiny": _bert(2, 2, 128, "tiny", 4_369_408),
    "bert_small": _bert(4, 8, 512, "small", 28_500_992),
    "bert_medium": _bert(8, 8, 512, "medium", 41_110_528),
    "bert_base": _bert(12, 12, 768, "base", 108_891_648),
    "bert_large": _bert(24, 16, 1024, "large", 334_092_288),
    "minilm": _encoder(
        "bert",
        (6, 12, 384, 1536),
        "sentence-transformers/keras/all_minilm_l6_v2_en/1",
        22_565_376,
    ),
    "distilbert": _encoder(
        "distil_bert",
        (6, 12, 768, 3072),
        "distil_bert/keras/distil_bert_base_en_uncased/3",
        66_362_880,
    ),
    "electra_small": _encoder(
        "electra",
        (12, 4, 256, 1024),
        "electra/keras/electra_small_discriminator_uncased_en/2",
        13_483_008,
        embedding_dim=128,
    ),
    "electra_base": _encoder(
        "electra",
        (12, 12, 768, 3072),
        "electra/keras/electra_base_discriminator_uncased_en/2",
        108_891_648,
        embedding_dim=768,
    ),
}
"""By the name of the backbone."""
