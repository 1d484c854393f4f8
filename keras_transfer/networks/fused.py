"""Several backbones behind one input, whose features stand side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.heads import Head
from keras_transfer.networks.network import BACKBONE, Network
from keras_transfer.networks.preprocessing import preprocess

__all__ = ["build_fused_network", "check_maps"]


def check_maps(networks: Mapping[str, keras.Model]) -> None:
    """Refuse backbones whose features cannot be joined.

    Args:
        networks: Backbones by name.

    Raises:
        BadConfiguration: One gives tokens, or the maps have different sizes.
    """
    shapes = {name: network.output_shape[1:] for name, network in networks.items()}
    tokens = [name for name, shape in shapes.items() if len(shape) != 3]
    if tokens:
        raise BadConfiguration(
            f"fuse joins maps, and {', '.join(tokens)} gives tokens. Choose convolutional networks."
        )
    if len({shape[:-1] for shape in shapes.values()}) > 1:
        shown = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise BadConfiguration(
            f"fuse joins maps of the same height and width, and these are {shown}. Choose other "
            "backbones, or another image_size."
        )


def build_fused_network(
    parts: Sequence[tuple[keras.Model, str]], pool: Head, heads: Mapping[str, Head]
) -> Network:
    """Join backbones and heads into a network.

    Args:
        parts: Backbones with maps of the same size, and their rows of ``PREPROCESSINGS``.
        pool: From joined maps to pooled features.
        heads: By the name of the output; they take pooled features.

    Returns:
        From {"pixels": (batch, size, size, 3) float32 RGB, 0..255} to the outputs of the heads. Its
        backbone ends in an identity of that name, behind the maps of all parts.
    """
    shape = parts[0][0].input_shape[1:]
    pixels = keras.Input(shape, dtype="float32", name="pixels")
    maps = []
    for number, (network, preprocessing) in enumerate(parts, start=1):
        # A model of its own: layers of two backbones may have the same names.
        given = keras.Input(shape, dtype="float32")
        output = network(preprocess(given, preprocessing))
        maps.append(keras.Model(given, output, name=f"part{number}")(pixels))
    joined = keras.layers.Concatenate(dtype="float32", name="joined")(maps)
    features = keras.layers.Identity(dtype="float32", name=BACKBONE)(joined)
    pooled = pool(features)
    model = keras.Model(
        {"pixels": pixels}, {name: head(pooled) for name, head in heads.items()}, name="classifier"
    )
    backbone = keras.Model(model.input, features, name=BACKBONE)
    return Network(model, model, {BACKBONE: backbone})
