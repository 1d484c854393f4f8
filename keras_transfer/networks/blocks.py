"""Blocks of a backbone: named groups of layers, from input to output, that can be unfrozen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_transfer.errors import UnknownName
from keras_transfer.networks.backbones import BACKBONES, Marks
from keras_transfer.networks.text_backbones import TEXT_BACKBONES

if TYPE_CHECKING:
    import keras

__all__ = ["blocks", "layers_named"]


def blocks(backbone: keras.Model) -> dict[str, list[keras.Layer]]:
    """Sort the layers of a backbone into its blocks.

    Layers follow each other in the order of ``backbone.layers``, in which none stands before
    another whose output it uses, and a block is a stretch of that order: so no block feeds an
    earlier one. The family, and with it the pattern of names, is recognised by the names
    themselves, so that it works for a backbone from a saved model as well. Where no family is
    recognised, each layer with weights is a block of its own name, and those without weights
    belong to the one before.

    Args:
        backbone: As ``build_backbone`` makes it, or read back from a file.

    Returns:
        The blocks from input to output; each layer but the input lies in exactly one.
    """
    layers = [layer for layer in backbone.layers if not _is_input(layer)]
    marks_by_layer: dict[str, list[keras.Layer]] = {}
    for layer, block in zip(layers, _block_of_each(layers), strict=True):
        marks_by_layer.setdefault(block, []).append(layer)
    indices = {id(layer): index for index, layer in enumerate(layers)}
    # A mask's layer stands before earlier blocks; those with weights follow each other.
    return dict(sorted(marks_by_layer.items(), key=lambda item: _start(item[1], indices)))


def layers_named(backbone: keras.Model, name: str, others: Sequence[str] = ()) -> list[keras.Layer]:
    """The layers of a block, or the layer of that name alone.

    Args:
        backbone: As for ``blocks``.
        name: Of the block or layer.
        others: What else could have been meant, for the message.

    Raises:
        UnknownName: No block or layer has that name.
    """
    by_block = blocks(backbone)
    if name in by_block:
        return by_block[name]
    found = [layer for layer in backbone.layers if layer.name == name]
    if not found:
        # Blocks first: the message lists them so.
        known = [*by_block, *others, *(layer.name for layer in backbone.layers)]
        raise UnknownName("block or layer of the backbone", name, dict.fromkeys(known))
    return found


def _start(block: list[keras.Layer], indices: dict[int, int]) -> int:
    return min(indices[id(layer)] for layer in ([x for x in block if x.weights] or block))


def _is_input(layer: keras.Layer) -> bool:
    return type(layer).__name__ == "InputLayer"


def _block_of_each(layers: list[keras.Layer]) -> list[str]:
    names = [layer.name for layer in layers]
    # Not a set: its order differs between processes, and max takes the first of equals.
    families = dict.fromkeys(row.marks for row in BACKBONES.values())
    families |= dict.fromkeys(row.marks for row in TEXT_BACKBONES.values())
    marks = max(families, key=lambda family: sum(map(bool, _marked(names, family))))
    marked = _marked(names, marks)
    # One name alone, such as "norm", is a coincidence: every family has several blocks.
    if len({*filter(None, marked)}) < 2:
        return _filled([layer.name if layer.weights else "" for layer in layers])
    return _filled(marked[::-1])[::-1] if marks.ends else _filled(marked)


def _marked(names: list[str], marks: Marks) -> list[str]:
    matches = (re.match(marks.pattern, name) for name in names)
    return ["".join(filter(None, match.groups())) if match else "" for match in matches]


def _filled(marked: list[str]) -> list[str]:
    """Fill each gap with the mark before it, and a gap at the start with the first mark."""
    current = next(filter(None, marked), "layers")  # without weights nothing could be unfrozen
    filled = []
    for mark in marked:
        current = mark or current
        filled.append(current)
    return filled
