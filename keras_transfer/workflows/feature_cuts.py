"""Where features leave a frozen network: behind its pooling, or behind one of its layers.

Imported when features are computed, not before: it needs TensorFlow.
"""

from __future__ import annotations

import keras

from keras_transfer.config.groups import Backbone
from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.cutting import Cut
from keras_transfer.networks.layer_outputs import up_to
from keras_transfer.networks.text_backbones import TEXT_BACKBONES
from keras_transfer.workflows.building import join, prefix_tokens_of

__all__ = ["feature_cut"]


def feature_cut(
    network: keras.Model, backbone: Backbone, pooling: str | None = "avg", layer: str | None = None
) -> Cut:
    """Cut a network where the head of a run would begin, so that both share stored features.

    Args:
        network: As ``building.build`` makes it.
        backbone: Its settings.
        pooling: As ``Head.pooling``; None: maps, or tokens, as the network gives them.
        layer: A block or layer behind which the features are taken; None: the last.

    Raises:
        UnknownName: No block or layer has that name.
        BadConfiguration: The layer's output cannot be pooled so, or nothing lies before it.
    """
    part = network if layer is None else up_to(network, layer)
    rank, prefix = len(part.output_shape), _prefix_tokens(part, network, backbone)
    where, text = f"layer = {layer}: it", backbone.name in TEXT_BACKBONES
    if rank not in (2, 3, 4) or (text and rank != 3):
        raise BadConfiguration(
            f"{where} gives {part.output_shape}, which is neither maps nor tokens nor vectors. "
            "Choose another layer."
        )
    if pooling == "token" and not prefix and not text:
        raise BadConfiguration(f"{where} gives no class token. Use pooling = avg.")
    # A network is cut before what trains, which in a run is the head.
    logits = keras.layers.Dense(1, name="logits")
    full = join(part, backbone, {LABEL: logits}, None if rank == 2 else pooling, prefix)
    full.freeze(None)
    cut = full.cut()
    if cut is None:
        raise BadConfiguration(f"{where} has no weights before it. Choose a later one.")
    if None in cut.frozen.output_shape[1:]:  # some layers do not state their number of tokens
        raise BadConfiguration(f"{where} gives a number of values that is not known. Pool them.")
    return cut


def _prefix_tokens(part: keras.Model, network: keras.Model, backbone: Backbone) -> int | None:
    """Number of tokens before those of the patches in what a part gives; None for maps."""
    if len(part.output_shape) != 3:
        return None
    last = prefix_tokens_of(backbone)
    if last is None:
        return 0
    if part.output_shape[1] is None:
        return last
    # Attention pooling at the end of a network puts its token before those of the patches.
    return max(0, last - (network.output_shape[1] - part.output_shape[1]))
