"""The network of a recipe: backbone, weights, heads.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_transfer.config.groups import Backbone, Head
from keras_transfer.config.stages import Stage
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.inputs.image import Image
from keras_transfer.inputs.text import Text
from keras_transfer.methods.adaptation import HEAD_FEATURES, Adaptation
from keras_transfer.methods.bagging import Bagging
from keras_transfer.methods.base import HeadTensors, Method
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.custom import is_keras_file, read_keras_file
from keras_transfer.networks.freezing import freeze
from keras_transfer.networks.heads import Head as Layers
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.hub_presets import preset_config
from keras_transfer.networks.network import (
    Network,
    build_network,
    build_text_network,
    with_extra_outputs,
)
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, build_text_backbone
from keras_transfer.networks.token_pooling import pooling_of
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.workflows.candidates import check_named
from keras_transfer.workflows.pretrained import load_pretrained

__all__ = ["add_heads", "build", "join", "prefix_tokens_of"]

logger = logging.getLogger("keras_transfer")


def build(
    backbone: Backbone, given: Image | Text, stages: Sequence[Stage], weights: str, learnt: Any
) -> keras.Model:
    """Build a backbone and load its weights; errors show before the data are read.

    Args:
        backbone: Which network.
        given: The input: size of images, length of texts.
        stages: Their ``unfreeze`` is checked against the network.
        weights: "none", "imagenet", "preset", ``preset:DIR``, a file, ``run:DIR``, or "file" for
            those of a FILE.keras.
        learnt: State of the fitted input: a vocabulary, or None.

    Raises:
        BadConfiguration: A stage unfreezes a block that the network does not have, or nothing of
            what it would train is in the unfrozen layers.
        BadWeights: The weights cannot be found, read, or put into this network.
    """
    name, variant = backbone.name, backbone.variant
    check_named(backbone)
    if isinstance(given, Text):
        # Settings are checked without data; then the largest vocabulary stands for the learnt one.
        size = given.vocabulary_size if learnt is None else len(learnt)
        config = preset_config(name, weights)
        how: dict[str, Any] = {"length": given.length, "config": config, "pairs": given.several}
        network = build_text_backbone(name, vocabulary_size=size, **how)
    elif is_keras_file(name):
        network = _from_file(backbone, given.image_size, own_weights=weights == "file")
        weights = "none" if weights == "file" else weights  # it has them already
    else:
        config = preset_config(name, weights)
        network = build_backbone(name, image_size=given.image_size, variant=variant, config=config)
    # Before the weights, which may be a download of hundreds of megabytes.
    for number, stage in enumerate(stages):
        try:
            freeze(network, stage.unfreeze, backbone.batch_norm, stage.tuning.weights)
        except UnknownName as error:
            raise BadConfiguration(
                f"stages.{number}.unfreeze: {error} "
                f"The blocks of {name} are: {', '.join(blocks(network))}."
            ) from None
        except BadConfiguration as error:
            raise BadConfiguration(f"stages.{number}.{error}") from None
    load_pretrained(network, weights, name=name, variant=variant)
    return network


def _from_file(backbone: Backbone, image_size: int | None, own_weights: bool) -> keras.Model:
    file = read_keras_file(backbone.name)
    network = file.backbone(backbone.features, image_size=image_size, pretrained=own_weights)
    layer = backbone.features or file.features.name
    logger.info("Features of %s: %s, from layer %r", file.path, network.output_shape[1:], layer)
    # That of EfficientNet is made for networks that begin so.
    if file.scales and backbone.preprocessing not in ("none", "efficientnet"):
        logger.warning(
            "Warning: %s begins with %s, and preprocessing = %s comes before that. If the network "
            "was trained on pixels from 0 to 255, use preprocessing = none.",
            *(file.path, ", ".join(file.start), backbone.preprocessing),
        )
    return network


def add_heads(
    network: keras.Model,
    backbone: Backbone,
    head: Head,
    objectives: Mapping[str, tuple[Objective, Labels]],
    method: Method,
    steps: int,
) -> Network:
    """Add a head for each objective to a backbone.

    Args:
        network: As ``build`` makes it.
        backbone: Its settings.
        head: Settings of all heads.
        objectives: Objectives with the labels of the train split, by the name of the output.
        method: May add heads or outputs.
        steps: Number of batches of all stages.
    """
    several = len(objectives) > 1
    # All heads share one pooling.
    settings = head.model_dump() | {"pooling": None}
    heads = {
        name: build_head(
            objective.units(labels.names),
            members=method.members if isinstance(method, Bagging) else 1,
            finish=objective.output(labels),
            # Keras wants every layer of a model to have its own name.
            prefix=f"output{number}_" if several else "",
            **settings,
        )
        for number, (name, (objective, labels)) in enumerate(objectives.items(), start=1)
    }
    tokens = any(objective.per_token for objective, _ in objectives.values())
    pooling = None if tokens else head.pooling
    built = join(network, backbone, heads, pooling, prefix_tokens_of(backbone))
    if not method.outputs:
        return built
    # The last activation; dropout comes after it.
    last = f"hidden{len(head.units)}_activation" if head.units else "pool"
    features, pooled = (built.model.get_layer(name).output for name in (last, "pool"))
    (logits,) = built.model.output.values()
    extra = method.extra_outputs(HeadTensors(pooled, features, logits, steps))
    if isinstance(method, Adaptation):  # what chooses without labels of the target reads them
        extra[HEAD_FEATURES] = features
    return with_extra_outputs(built, extra)


def join(
    network: keras.Model,
    backbone: Backbone,
    heads: Mapping[str, Layers],
    pooling: str | None,
    prefix_tokens: int | None,
) -> Network:
    """Join a backbone, or a part of one, with its preprocessing, a pooling and heads.

    Args:
        network: As ``build`` makes it, or ``layer_outputs.up_to`` of that.
        backbone: Its settings.
        heads: By the name of the output; they take pooled features.
        pooling: As ``Head.pooling``; None: heads take what the network gives.
        prefix_tokens: Number of tokens before those of the patches; None for maps.
    """
    if backbone.name in TEXT_BACKBONES:
        return build_text_network(network, heads, pooling=pooling)
    preprocessing = backbone.preprocessing or BACKBONES[backbone.name].preprocessing
    pool = pooling_of(pooling, prefix_tokens) if pooling else None
    return build_network(network, heads, preprocessing=preprocessing, pool=pool)


def prefix_tokens_of(backbone: Backbone) -> int | None:
    """Number of tokens before those of the patches; None where a network gives maps."""
    row = BACKBONES.get(backbone.name)
    return row.prefix_tokens if row else None
