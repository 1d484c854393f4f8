"""What the tables of backbones say about a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["BackboneSpec", "HubPreset", "Marks"]


@dataclass(frozen=True)
class Marks:
    """Patterns of layer names that mark the blocks of a network family.

    Attributes:
        pattern: Regular expression; where a layer's name matches from its start on, the groups,
            joined, are the name of the block that the layer lies in.
        ends: Layers without a mark belong to the block before them; to the next one if true.
    """

    pattern: str
    ends: bool = False


class HubPreset(NamedTuple):
    """A network of KerasHub.

    Attributes:
        family: A row of ``FAMILIES`` in ``networks.hub``.
        config: Arguments of KerasHub's constructor, without the size of the images.
        handle: Where KerasHub downloads its preset from.
        license: Of the weights.
        gated: Whether the license has to be accepted before the weights can be downloaded.
    """

    family: str
    config: Mapping[str, Any]
    handle: str
    license: str = "Apache-2.0"
    gated: bool = False


@dataclass(frozen=True)
class BackboneSpec:
    """One network.

    Attributes:
        constructor: "module:name", imported when it is built; "" for a network of KerasHub.
        preprocessing: Preprocessing of pixels, a row of ``PREPROCESSINGS``.
        marks: Marks of its blocks.
        parameters: Number of parameters of the default variant, without top, at its native size.
        size: Native image size in pixels.
        least: Minimum image size in pixels.
        step: The image size is a multiple of so many pixels, such as the side of a patch.
        variants: Options of the constructor, each with the values that may be chosen, of which
            the first is the default.
        hub: Which network of KerasHub it is.
        prefix_tokens: Number of tokens before those of the patches, where the network gives
            tokens (batch, tokens, channels); None where it gives maps.
    """

    constructor: str
    preprocessing: str
    marks: Marks
    parameters: int
    size: int = 224
    least: int = 32
    step: int = 1
    variants: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    hub: HubPreset | None = None
    prefix_tokens: int | None = None
