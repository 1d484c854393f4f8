"""Where a partly frozen network is cut in two: the frozen part, which runs once, and the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

__all__ = ["FEATURES", "Cut", "cut_network", "fingerprint"]

FEATURES = "features"
"""Name of the trainable part's first input."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A network in two parts that share its layers: ``trainable(frozen(inputs))`` is its answer.

    Attributes:
        boundary: Name of the layer after which it is cut.
        before: Graphs that follow one another up to the cut.
        after: Graphs that follow one another from the cut on.
        inputs: Names of the network's inputs, in the order that the frozen part takes them.
    """

    boundary: str
    before: tuple[keras.Model, ...]
    after: tuple[keras.Model, ...]
    inputs: tuple[str, ...] = ("pixels",)

    @cached_property
    def frozen(self) -> keras.Model:
        """From inputs to features; nothing in it trains or draws random numbers."""
        return _joined(self.before, "frozen")

    @cached_property
    def trainable(self) -> keras.Model:
        """From {"features": ...} to the network's outputs; it trains the network's own layers."""
        return _joined(self.after, "trainable", FEATURES)

    def further(self) -> Cut | None:
        """Cut the trainable part once more, as its layers are set now; None if nothing is cut."""
        return _cut(self.after, self.inputs)


def cut_network(model: keras.Model, backbones: Sequence[str] = ("backbone",)) -> Cut | None:
    """Cut a network at the last single tensor before anything that acts otherwise in training.

    Layers act otherwise that train, drop at random, or normalize by the batch. The cut lies where
    one tensor carries everything, so that branches and skips stay intact: behind a cut vertex of
    the graph. Where the backbone is frozen completely, it lies behind the pooling.

    Args:
        model: With one input, after ``freeze``.
        backbones: Names of the layers that are backbones.

    Returns:
        Its two parts: (batch, size, size, 3) float32 pixels, 0..255, to features, and those to
        its outputs. None where no kernel lies before a cut, as when everything trains.
    """
    (name,) = backbones
    backbone = next(node for node in _in_order(model) if node.operation.name == name)
    (given,) = model.inputs
    stem = keras.Model(given, backbone.input_tensors[0], name="stem")
    head = keras.Model(backbone.output_tensors[0], model.output, name="head")
    return _cut((stem, backbone.operation, head), tuple(model.input))


def _cut(graphs: tuple[keras.Model, ...], inputs: tuple[str, ...]) -> Cut | None:
    at = next(place for place, graph in enumerate(graphs) if _acts_in_training(graph))
    before, (graph, *after) = graphs[:at], graphs[at:]
    last = _last_cut(graph)
    if last is not None:
        tensor = last.output_tensors[0]
        before = (*before, keras.Model(graph.input, tensor))
        graph = keras.Model(tensor, graph.output)
    if not any(len(weight.shape) > 1 for part in before for weight in part.weights):
        return None
    boundary = (last or _in_order(before[-1])[-1]).operation.name
    return Cut(boundary, before, (graph, *after), inputs)


def _joined(graphs: tuple[keras.Model, ...], name: str, given: str = "") -> keras.Model:
    first = graphs[0].inputs[0]
    tensor = inputs = keras.Input(first.shape[1:], dtype=first.dtype, name=given or None)
    for graph in graphs:
        tensor = graph(tensor)
    return keras.Model({given: inputs} if given else inputs, tensor, name=name)


def fingerprint(model: keras.Model) -> str:
    """Hash what a network computes: operations, how they are joined, and weights.

    Names do not count: Keras numbers them by what else was built in the process.
    """
    digest = hashlib.sha256(json.dumps(_structure(model), default=str).encode())
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).data)
    return digest.hexdigest()[:32]


def _structure(graph: keras.Model) -> list[Any]:
    nodes = _in_order(graph)
    number = {
        id(t): f"{i}.{j}" for i, n in enumerate(nodes) for j, t in enumerate(n.output_tensors)
    }
    return [
        [_description(node.operation), [number[id(tensor)] for tensor in node.input_tensors]]
        for node in nodes
    ]


def _description(operation: Any) -> Any:
    if hasattr(operation, "_nodes_by_depth"):
        return _structure(operation)
    config = operation.get_config() if isinstance(operation, keras.Layer) else vars(operation)
    return [type(operation).__name__, _nameless(config)]


def _nameless(config: Any) -> Any:
    if isinstance(config, list | tuple):
        return [_nameless(one) for one in config]
    if not isinstance(config, dict):
        return config
    told = {key: one for key, one in config.items() if not str(key).startswith("_")}
    return {key: _nameless(told[key]) for key in told if key not in ("name", "trainable")}


def _last_cut(graph: keras.Model) -> Any | None:
    """The last node before all that act in training whose output alone reaches what follows it."""
    nodes = _in_order(graph)
    last_use = {
        id(tensor): place for place, node in enumerate(nodes) for tensor in node.input_tensors
    }
    cut, reach = None, 0
    for place, node in enumerate(nodes):
        if _acts_in_training(node.operation):
            break
        if reach <= place and not node.is_input:
            cut = node
        reach = max(reach, *(last_use.get(id(tensor), 0) for tensor in node.output_tensors))
    return cut


def _in_order(graph: keras.Model) -> list[Any]:
    """Nodes of a functional model, none before another whose output it takes.

    Keras has no public way to them: ``layers`` leaves out operations such as ``a + b``, and a
    layer's own ``output`` is ambiguous once it is called in two graphs.
    """
    depths = graph._nodes_by_depth
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth]]


def _acts_in_training(operation: Any) -> bool:
    """Whether an operation learns, draws random numbers, or looks at the whole batch."""
    layers = operation._flatten_layers() if isinstance(operation, keras.Layer) else ()
    return any(map(_acts, layers))


def _acts(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer.trainable
    random = getattr(layer, "seed_generator", None) is not None and getattr(layer, "rate", 1) > 0
    return random or (not layer._layers and bool(layer.trainable_weights))
