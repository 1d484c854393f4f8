"""Freezing of backbone layers and of single weights in them."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.blocks import blocks, layers_named

if TYPE_CHECKING:
    import keras

__all__ = ["Trainable", "freeze", "parameter_counts"]

Trainable = Literal["all", "bias", "norm", "lora"]
"""Which weights of the unfrozen layers train."""


def freeze(
    backbone: keras.Model,
    unfreeze: str | float | None = None,
    batch_norm: Literal["frozen", "train"] = "frozen",
    trainable: Trainable = "all",
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
        trainable: Which weights of these layers train. "all". "bias": biases and the offsets of
            normalisation (BitFit, Ben Zaken et al. 2022, arXiv:2106.10199). "norm": scales and
            offsets of normalisation layers. "lora": the kernels, until ``enable_lora`` puts
            matrices in their place. Frozen batch normalisation keeps its statistics in all cases;
            its scale and offset train where this names them.

    Raises:
        UnknownName: No block or layer has that name.
        BadConfiguration: The share is not in (0, 1], or no weight of these layers is of that kind.
    """
    from keras.layers import BatchNormalization

    trained = _trained(backbone, unfreeze)
    chosen = [layer for layer in backbone.layers if id(layer) in trained]
    _check_any(chosen, trainable)
    backbone.trainable = True  # of a frozen model nothing would train, whatever its layers say
    # The setter above has set all layers inside too, so each of them needs its own value.
    for layer in backbone.layers:
        # Blocks of KerasHub are layers with layers inside; outer ones come first.
        for inner in layer._flatten_layers():
            frozen = batch_norm == "frozen" and isinstance(inner, BatchNormalization)
            inner.trainable = id(layer) in trained and not frozen
    # Keras's setters do nothing where a layer has that value already, so weights are set as well.
    for part, weight in _weights(backbone.layers):
        weight.trainable = part.trainable
    if trainable == "all":
        return
    for part, weight in _weights(chosen):
        # A model trains the weights that say so, also those of a batch normalisation that is not
        # trainable itself, and so keeps its statistics.
        weight.trainable = WEIGHTS[trainable].includes(part, weight)


class _Weights(NamedTuple):
    includes: Callable[[keras.Layer, Any], bool]
    what: str


def _normalises(layer: keras.Layer) -> bool:
    # By name: networks of other packages have normalisation layers of their own.
    return "Norm" in type(layer).__name__


def _is_bias(layer: keras.Layer, weight: Any) -> bool:
    return weight.name == "bias" or (_normalises(layer) and weight.name == "beta")


def _is_lora_kernel(layer: Any, weight: Any) -> bool:
    from keras_transfer.networks.lora import takes_lora

    return takes_lora(layer) and weight is layer._kernel


WEIGHTS = {
    "bias": _Weights(_is_bias, "a bias, or a normalisation with an offset"),
    "norm": _Weights(lambda layer, _: _normalises(layer), "normalisation with scale or offset"),
    "lora": _Weights(_is_lora_kernel, "a kernel that takes LoRA: Dense, EinsumDense and Conv do"),
}
"""Rows of ``trainable`` other than "all"."""


def _weights(layers: list[keras.Layer]) -> list[tuple[keras.Layer, Any]]:
    """The weights of layers that can train, each with the innermost layer that it belongs to."""
    return [
        (part, weight)
        for layer in layers
        for part in layer._flatten_layers()
        # Keras's list of what can train; moving statistics and random states are not in it.
        for weight in part._trainable_variables
    ]


def _check_any(layers: list[keras.Layer], trainable: Trainable) -> None:
    """Refuse layers of which nothing would train."""
    if trainable not in WEIGHTS:
        return
    row, weights = WEIGHTS[trainable], _weights(layers)
    if any(row.includes(part, weight) for part, weight in weights):
        return
    setting = "lora" if trainable == "lora" else f"trainable = {trainable}"
    found = ", ".join(dict.fromkeys(type(part).__name__ for part, _ in weights)) or "none"
    raise BadConfiguration(
        f"{setting}: no unfrozen layer has {row.what}. Layers with weights: {found}. Unfreeze "
        "from an earlier block, or train all of their weights."
    )


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
    by_block, named = blocks(backbone), layers_named(backbone, name, ["all"])
    if name in by_block:
        later = [*by_block][[*by_block].index(name) :]
        return {id(layer) for block in later for layer in by_block[block]}
    return set(map(id, backbone.layers[backbone.layers.index(named[0]) :]))


def parameter_counts(model: keras.Model) -> tuple[int, int]:
    """Count the trainable parameters and all parameters of a model."""
    trainable, every = (
        sum(prod(weight.shape) for weight in weights)
        for weights in (model.trainable_weights, model.weights)
    )
    return trainable, every
