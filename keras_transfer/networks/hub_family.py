"""How a network of KerasHub is taken apart, so that its blocks become layers of a graph."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import keras

from keras_transfer.errors import BadConfiguration

__all__ = ["WITHOUT_DROPOUT", "Family", "constructor", "named"]

Unrolled = Callable[[Any, Any], keras.KerasTensor]

WITHOUT_DROPOUT = {"dropout_rate", "attention_dropout", "drop_path_rate", "drop_path", "dropout"}
"""Arguments that are set to 0: a backbone answers in training as it does in ``predict``."""


class Family(NamedTuple):
    """How a network of KerasHub is taken apart.

    Attributes:
        module: Where its class is, below ``keras_hub.src.models``.
        name: Of its class.
        sizes: Arguments that decide on the shapes of its weights.
        unrolled: From the network and its input to features. Images (batch, size, size, 3) become
            maps, or tokens of which the first are no patches; token ids and mask, in a dict,
            become a sequence.
        part: Which part of a preset's network it is; "" for all of it.
        image_shape: Name of the argument for the shape of the images.
        position_shape: Name of the argument for the shape of images that the position embedding is
            made for, where it is resized by the network itself; "" elsewhere.
        vocabulary: Name of the argument for the number of tokens; "" for images.
    """

    module: str
    name: str
    sizes: tuple[str, ...]
    unrolled: Unrolled
    part: str = ""
    image_shape: str = "image_shape"
    position_shape: str = ""
    vocabulary: str = ""


def constructor(family: Family) -> Any:
    """The class in KerasHub.

    Raises:
        BadConfiguration: The extra ``hub`` is not installed.
    """
    try:
        module = import_module(f"keras_hub.src.models.{family.module}")
    except ModuleNotFoundError as error:
        missing = (error.name or "keras_hub").partition(".")[0]
        raise BadConfiguration(
            f"The backbone {family.name} is one of KerasHub, and {missing} is not installed: "
            "pip install 'keras_transfer[hub]'."
        ) from None
    return getattr(module, family.name)


def named(layer: Any, name: str) -> Any:
    """Give a layer the name by which its block is found."""
    layer.name = name
    return layer
