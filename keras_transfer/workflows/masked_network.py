"""The head for masked words on a backbone: new, or with the weights that come with it.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_transfer import runs
from keras_transfer.errors import BadWeights
from keras_transfer.inputs.masked_text import MASK_POSITIONS, MASKED
from keras_transfer.networks.hub_presets import is_preset, preset_folder
from keras_transfer.networks.masked_lm import HEAD_LAYERS, build_masked_network
from keras_transfer.networks.network import Network
from keras_transfer.networks.safetensors import read_tensors

__all__ = ["masked_network"]

logger = logging.getLogger("keras_transfer")

HUGGING_FACE: Mapping[str, Sequence[str]] = {
    "masked_dense": ("transform.dense.weight", "transform.dense.bias"),
    "masked_norm": ("transform.LayerNorm.weight", "transform.LayerNorm.bias"),
    "masked_bias": ("bias",),
}
"""Names of the head's weights in Hugging Face's BERT, behind ``cls.predictions.``."""


def masked_network(backbone: keras.Model, name: str, weights: str) -> Network:
    """Join a backbone with a head for masked words; say where the head comes from.

    Args:
        backbone: As ``building.build`` makes it, with its weights.
        name: Of the backbone.
        weights: As ``resolve_weights`` returns them: a run that was pretrained by masked words,
            or a folder of Hugging Face with such a head, gives the head too.

    Raises:
        BadConfiguration: The backbone has no embedding that can be reversed.
        BadWeights: The head that comes with the weights does not fit.
    """
    network = build_masked_network(backbone, MASKED, MASK_POSITIONS, name)
    found = _head_of(name, weights)
    if found is None:
        logger.info("The head for masked words starts with random weights")
        return network
    for layer, arrays in found.items():
        given = network.model.get_layer(layer)
        shapes = [tuple(weight.shape) for weight in given.weights]
        offered = [array.shape for array in arrays]
        if shapes != offered:
            raise BadWeights(
                f"The head for masked words of {weights} does not fit: {layer} wants {shapes}, it "
                f"holds {offered}."
            )
        given.set_weights(arrays)
    logger.info("The head for masked words is that of %s", weights)
    return network


def _head_of(name: str, weights: str) -> dict[str, list[np.ndarray]] | None:
    """Arrays by the name of the head's layer; None where the weights bring no head."""
    if weights.startswith("run:"):
        run = runs.Run(weights.removeprefix("run:"))
        if not run.pretrained:
            return None
        return {layer: run.model.get_layer(layer).get_weights() for layer in HEAD_LAYERS}
    if is_preset(name, weights):
        return _of_hugging_face(preset_folder(name, weights) / "model.safetensors")
    return None


def _of_hugging_face(file: Path) -> dict[str, list[np.ndarray]] | None:
    names = {f"cls.predictions.{one}" for parts in HUGGING_FACE.values() for one in parts}
    held = read_tensors(file, names) if file.is_file() else {}
    if set(held) != names:
        return None
    head = {
        layer: [held[f"cls.predictions.{one}"] for one in parts]
        for layer, parts in HUGGING_FACE.items()
    }
    head["masked_dense"][0] = head["masked_dense"][0].T  # PyTorch has (outputs, inputs)
    return head
