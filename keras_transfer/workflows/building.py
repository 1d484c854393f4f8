"""The network of a recipe: backbone, weights, heads.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_transfer.config.groups import Backbone, Head
from keras_transfer.config.stages import Stage
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.inputs.image import Image
from keras_transfer.inputs.text import Text
from keras_transfer.methods.bagging import Bagging
from keras_transfer.methods.base import Method
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.freezing import freeze
from keras_transfer.networks.heads import POOLINGS, build_head
from keras_transfer.networks.network import (
    Network,
    build_network,
    build_text_network,
    with_extra_outputs,
)
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, build_text_backbone
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.workflows.candidates import check_named
from keras_transfer.workflows.pretrained import load_pretrained

__all__ = ["add_heads", "build"]


def build(
    backbone: Backbone, given: Image | Text, stages: Sequence[Stage], weights: str, learnt: Any
) -> keras.Model:
    """Build a backbone and load its weights; errors show before the data are read.

    Args:
        backbone: Which network.
        given: The input: size of images, length of texts.
        stages: Their ``unfreeze`` is checked against the network.
        weights: "none", "imagenet", a file or ``run:DIR``.
        learnt: State of the fitted input: a vocabulary, or None.

    Raises:
        BadConfiguration: A stage unfreezes a block that the network does not have.
        BadWeights: The weights cannot be found, read, or put into this network.
    """
    name, variant = backbone.name, backbone.variant
    check_named(backbone)
    if isinstance(given, Text):
        # Settings are checked without data; then the largest vocabulary stands for the learnt one.
        size = given.vocabulary_size if learnt is None else len(learnt)
        network = build_text_backbone(name, vocabulary_size=size, length=given.length)
    else:
        network = build_backbone(name, image_size=given.image_size, variant=variant)
    # Before the weights, which may be a download of hundreds of megabytes.
    for number, stage in enumerate(stages):
        try:
            freeze(network, stage.unfreeze, backbone.batch_norm)
        except UnknownName as error:
            raise BadConfiguration(
                f"stages.{number}.unfreeze: {error} "
                f"The blocks of {name} are: {', '.join(blocks(network))}."
            ) from None
    load_pretrained(network, weights, name=name, variant=variant)
    return network


def add_heads(
    network: keras.Model,
    backbone: Backbone,
    head: Head,
    objectives: Mapping[str, tuple[Objective, Labels]],
    method: Method,
) -> Network:
    """Add a head for each objective to a backbone.

    Args:
        network: As ``build`` makes it.
        backbone: Its settings.
        head: Settings of all heads.
        objectives: Objectives with the labels of the train split, by the name of the output.
        method: May add heads or outputs.
    """
    several, text = len(objectives) > 1, backbone.name in TEXT_BACKBONES
    # Heads that share a trunk share its pooling; texts are pooled with their padding mask.
    settings = head.model_dump() | ({"pooling": None} if several or text else {})
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
    if text:
        return build_text_network(network, heads, pooling=head.pooling)
    preprocessing = BACKBONES[backbone.name].preprocessing
    pool = POOLINGS[head.pooling] if several else None
    built = build_network(network, heads, preprocessing=preprocessing, pool=pool)
    if not method.outputs:
        return built
    return with_extra_outputs(built, next(iter(objectives)), method.outputs)
