"""Freezing of backbone layers."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING, Literal

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.networks.blocks import blocks

if TYPE_CHECKING:
    import keras

__all__ = ["freeze", "parameter_counts"]


def freeze(
    backbone: keras.Model,
    unfreeze: str | float | None = None,
    batch_norm: Literal["frozen", "train"] = "frozen",
) -> None:
    """Set which layers train from the next ``compile`` on.

    Args:
        backbone: Its layers' ``trainable`` is set.
        unfreeze: None or "none": nothing trains. A block (see ``blocks``) or a layer: it and all
            layers after it in ``backbone.layers``. A share in (0, 1]: this last share of the
            layers that have weights, rounded up. "all": everything.
        batch_norm: "frozen" keeps batch normalisation in inference mode, with the statistics of
            the data that the weights come from, also where the layers around it train; "train"
            lets it train with them.

    Raises:
        UnknownName: No block or layer has that name.
        BadConfiguration: The share is not in (0, 1].
    """
    from keras.layers import BatchNormalization

    trained = _trained(backbone, unfreeze)
    backbone.trainable = True  # of a frozen model nothing would train, whatever its layers say
    # The setter above has set all layers inside too, so each of them needs its own value.
    for layer in backbone.layers:
        # Blocks of KerasHub are layers with layers inside; outer ones come first.
        for inner in layer._flatten_layers():
            frozen = batch_norm == "frozen" and isinstance(inner, BatchNormalization)
            inner.trainable = id(layer) in trained and not frozen


def _trained(backbone: keras.Model, unfreeze: str | float | None) -> set[int]:
    """Ids of the trainable layers."""
    if unfreeze is None or unfreeze == "none":
        return set()
    if unfreeze == "all":
        return set(map(id, backbone.layers))
    if isinstance(unfreeze, str):
        return _from_name(backbone, unfreeze)
    if not 0 < unfreeze <= 1:
        raise BadConfiguration(
            f"unfreeze = {unfreeze} should be a share of the layers above 0 and up to 1, "
            "the name of a block or layer, 'all' or 'none'."
        )
    weighted = [index for index, layer in enumerate(backbone.layers) if layer.weights]
    count = ceil(unfreeze * len(weighted) - 1e-9)  # 0.07 of 100 is 7 layers, not 8
    return set(map(id, backbone.layers[weighted[-max(count, 1)] :]))


def _from_name(backbone: keras.Model, name: str) -> set[int]:
    """The layers of a block and all later blocks, or a layer and all layers after it."""
    by_block, layers = blocks(backbone), [layer.name for layer in backbone.layers]
    if name in by_block:
        later = [*by_block][[*by_block].index(name) :]
        return {id(layer) for block in later for layer in by_block[block]}
    if name in layers:
        return set(map(id, backbone.layers[layers.index(name) :]))
    known = [*by_block, "all", *layers]  # blocks first: the message lists them so
    raise UnknownName("block or layer of the backbone", name, dict.fromkeys(known))


def parameter_counts(model: keras.Model) -> tuple[int, int]:
    """Count the trainable parameters and all parameters of a model."""
    trainable, every = (
        sum(prod(weight.shape) for weight in weights)
        for weights in (model.trainable_weights, model.weights)
    )
    return trainable, every
