"""A network with named inputs, outputs and backbones, for training and export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import keras

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.cutting import Cut, cut_network
from keras_transfer.networks.freezing import Trainable, freeze
from keras_transfer.networks.heads import Head
from keras_transfer.networks.lora import enable_lora
from keras_transfer.networks.preprocessing import preprocess
from keras_transfer.networks.sequence_pooling import SEQUENCE_POOLINGS

__all__ = [
    "BACKBONE",
    "PADDING_MASK",
    "Network",
    "build_network",
    "build_text_network",
    "members_of",
    "with_extra_outputs",
]

BACKBONE = "backbone"
"""Name of the layer that is the backbone, in our models and in those of version 1."""

PADDING_MASK = "padding_mask"
"""Name of the input that says which tokens of a sequence count."""


@dataclass(frozen=True, eq=False)
class Network:
    """A model and its parts, which share their layers.

    Attributes:
        model: The model to train: inputs by name to outputs by name.
        predictor: The model to save, evaluate and export; often the same.
        backbones: The pretrained networks in it, by name.
        passthrough: Names of inputs that heads take too, such as a padding mask.
    """

    model: keras.Model
    predictor: keras.Model
    backbones: Mapping[str, keras.Model]
    passthrough: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: keras.Model) -> Network:
        """Recognize a model that was read from a file.

        Models of version 1 have one tensor as input and as output instead of dicts.

        Raises:
            BadConfiguration: It has no backbone.
        """
        layers = [layer for layer in model.layers if layer.name.startswith(BACKBONE)]
        if not layers:
            raise BadConfiguration(f"The model {model.name!r} has no layer called {BACKBONE!r}.")
        if not isinstance(model.input, dict):
            model = keras.Model({model.input.name: model.input}, {"label": model.output})
        found = {layer.name: _as_model(model, layer) for layer in layers}
        masks = tuple(name for name in model.input if name == PADDING_MASK)
        return cls(model, model, found, masks)

    @property
    def backbone(self) -> keras.Model:
        """The only backbone."""
        (backbone,) = self.backbones.values()
        return backbone

    def freeze(
        self,
        unfreeze: str | float | None,
        batch_norm: Literal["frozen", "train"] = "frozen",
        trainable: Trainable = "all",
    ) -> None:
        """Set which weights of the backbones train; see ``freezing.freeze``."""
        for backbone in self.backbones.values():
            freeze(backbone, unfreeze, batch_norm, trainable)

    def enable_lora(self, rank: int, alpha: float | None, seed: int) -> None:
        """Let matrices train in place of the marked kernels; see ``lora.enable_lora``."""
        for number, backbone in enumerate(self.backbones.values()):
            enable_lora(backbone, rank, alpha, seed + number)

    def cut(self) -> Cut | None:
        """Cut the model into its frozen and trainable parts, by the current state of its layers."""
        return cut_network(self.model, list(self.backbones), self.passthrough)


def build_network(
    backbone: keras.Model,
    heads: Mapping[str, Head],
    *,
    preprocessing: str,
    pool: Head | None = None,
) -> Network:
    """Join preprocessing, an image backbone and heads into a network.

    Args:
        backbone: As ``build_backbone`` makes it; it becomes a layer of that name, and its weights
            stay its own.
        heads: By the name of the output, as ``build_head`` makes them.
        preprocessing: A row of ``PREPROCESSINGS``, that of the backbone's row in ``BACKBONES``.
        pool: Comes before all heads, which then take pooled features.

    Returns:
        From {"pixels": (batch, size, size, 3) float32 RGB, 0..255} to (batch, outputs) float32
        logits for each head.

    Raises:
        UnknownName: There is no such preprocessing.
    """
    pixels = keras.Input(backbone.input_shape[1:], dtype="float32", name="pixels")
    features = backbone(preprocess(pixels, preprocessing))
    features = features if pool is None else pool(features)
    outputs = {name: head(features) for name, head in heads.items()}
    model = keras.Model({"pixels": pixels}, outputs, name="classifier")
    return Network(model, model, {BACKBONE: backbone})


def build_text_network(
    backbone: keras.Model, heads: Mapping[str, Head], *, pooling: str | None
) -> Network:
    """Join a text backbone and heads into a network.

    The layers of the backbone become layers of the network, so that it can be cut where a padding
    mask is passed along; an identity of the name "backbone" stands behind them.

    Args:
        backbone: As ``build_text_backbone`` makes it.
        heads: By the name of the output; they take pooled features.
        pooling: A row of ``SEQUENCE_POOLINGS``; None: heads take the features of each token.

    Returns:
        From {"token_ids": (batch, length) int32, "padding_mask": (batch, length) bool} to
        (batch, outputs) float32 logits for each head; (batch, length, outputs) without pooling.
    """
    given: dict[str, keras.KerasTensor] = backbone.input
    sequence = keras.layers.Identity(name=BACKBONE)(backbone.output)
    if pooling is None:
        pooled = keras.layers.Identity(name="pool")(sequence)  # the layer before heads has it
    else:
        pooled = SEQUENCE_POOLINGS[pooling](sequence, given[PADDING_MASK])
    outputs = {name: head(pooled) for name, head in heads.items()}
    model = keras.Model(given, outputs, name="classifier")
    return Network(model, model, {BACKBONE: backbone}, (PADDING_MASK,))


def with_extra_outputs(network: Network, extra: Mapping[str, keras.KerasTensor]) -> Network:
    """Add float32 outputs, for terms of the loss that a method adds.

    Args:
        network: Its predictor stays as it is.
        extra: Tensors of the network by the name of their output; several may be one tensor.
    """
    # Keras takes one loss for each output, so each further term needs an output of its own.
    copies = {n: keras.layers.Identity(dtype="float32", name=n)(x) for n, x in extra.items()}
    model = keras.Model(network.model.input, {**network.model.output, **copies})
    return Network(model, network.predictor, network.backbones, network.passthrough)


def _as_model(model: keras.Model, layer: keras.Layer) -> keras.Model:
    """A backbone that is a layer, or all layers up to one that marks its end."""
    if isinstance(layer, keras.Model):
        return layer
    return keras.Model(model.input, layer.output, name=layer.name)


def members_of(network: Network, output: str) -> Sequence[tuple[Network, keras.Model]]:
    """Separate a network whose head has several members; all share their layers with it.

    Args:
        network: Newly built: once its layers are part of other graphs too, they do not know which
            one is meant.
        output: Name of the output.

    Returns:
        For each member a network of its own, and its head alone, from pooled features to
        {output: logits}.
    """
    model = network.model
    pooled = model.get_layer("pool").output
    names = {layer.name for layer in model.layers}
    logits: list[keras.KerasTensor] = []
    while (name := f"member{len(logits) + 1}_logits") in names:
        logits.append(model.get_layer(name).output)
    members = []
    for number, tensor in enumerate(logits, start=1):
        member = keras.Model(model.input, {output: tensor}, name="classifier")
        head = keras.Model(pooled, {output: tensor}, name=f"member{number}")
        members.append((Network(member, member, network.backbones, network.passthrough), head))
    return members
