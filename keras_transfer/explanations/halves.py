"""A network for images in two halves: up to its last maps, and from there to its outputs."""

from __future__ import annotations

from math import isqrt
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.cutting import in_order, output_of
from keras_transfer.networks.label_curves import uncalibrated
from keras_transfer.networks.network import BACKBONE, Network

__all__ = ["Halves", "halves"]

CURE = "Use --method occlusion or integrated_gradients, which need no maps."


class Halves(NamedTuple):
    """A network in two halves, which share its layers.

    Attributes:
        graphs: From the network's inputs to its last maps, one graph after the other.
        heads: From there to outputs by name, one graph after the other; before isotonic curves,
            on whose plateaus all gradients are 0.
        prefix: Number of tokens before those of the patches; None where the first half gives maps.
        grid: Height, width and channels of the maps that the patches' tokens are.
    """

    graphs: tuple[keras.Model, ...]
    heads: tuple[keras.Model, ...]
    prefix: int | None = None
    grid: tuple[int, ...] = ()

    def maps(self, inputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor | None]:
        """(n, height, width, channels) maps, and (n, prefix, channels) tokens beside them."""
        found: Any = inputs
        for graph in self.graphs:
            found = graph(found, training=False)
        if self.prefix is None:
            return found, None
        # The numbers are stated: in graphs some blocks do not know how many tokens they give.
        grid = tf.reshape(found[:, self.prefix :], (-1, *self.grid))
        return grid, found[:, : self.prefix]

    def outputs(self, maps: tf.Tensor, tokens: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Outputs by name, of what ``maps`` gives."""
        found: Any = maps
        if tokens is not None:
            side, _, channels = self.grid
            patches = tf.reshape(maps, (-1, side * side, channels))
            found = tf.concat([tokens, patches], axis=1)
        for graph in self.heads:
            found = graph(found, training=False)
        return found


def halves(network: Network) -> Halves:
    """Divide a network at the last maps of its backbone, whatever family that is of.

    A backbone that gives tokens is divided before its last block: behind it a class token has
    gathered what it wants, and the tokens of the patches may count no more. They stand in the grid
    of their patches.

    Args:
        network: For images; its predictor is divided.

    Raises:
        BadConfiguration: The backbone has neither maps of more than one place nor such tokens.
    """
    model = network.predictor
    last = output_of(model, BACKBONE)
    head = keras.Model(last, uncalibrated(model))
    if len(last.shape) == 4 and last.shape[1] * last.shape[2] > 1:
        return Halves((keras.Model(model.input, last),), (head,))
    backbone = network.backbones[BACKBONE]
    tokens: int | None = getattr(backbone, "prefix_tokens", None)
    tensor = None if tokens is None else _before_last_block(backbone)
    if tokens is None or tensor is None:
        raise BadConfiguration(
            "Grad-CAM needs maps of several places, or tokens of patches; the backbone gives "
            f"{tuple(last.shape[1:])}. {CURE}"
        )
    node = next(node for node in in_order(model) if node.operation.name == BACKBONE)
    stem = keras.Model(model.input, node.input_tensors[0])
    before = keras.Model(backbone.input, tensor)
    after = keras.Model(tensor, backbone.output)
    # The number of prefix tokens is that of the output: some are added behind the blocks.
    patches, (_, found, channels) = last.shape[1] - tokens, tensor.shape
    side = isqrt(patches)
    return Halves((stem, before), (after, head), found - patches, (side, side, channels))


def _before_last_block(backbone: keras.Model) -> keras.KerasTensor | None:
    """(n, tokens, channels): what the last block of a transformer takes; None without one."""
    names = [name for name in blocks(backbone) if "block" in name]
    if not names:
        return None
    layers = {layer.name for layer in blocks(backbone)[names[-1]]}
    node = next(node for node in in_order(backbone) if node.operation.name in layers)
    tensor = node.input_tensors[0]
    return tensor if len(tensor.shape) == 3 and tensor.shape[1] is not None else None
