"""Where a partly frozen classifier is cut in two: what never changes in a stage, and the rest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

__all__ = ["Cut", "cut_network", "fingerprint"]


@dataclass(frozen=True, eq=False)
class Cut:
    """A network in two parts that share its layers: ``trainable(prefix(pixels))`` is its answer.

    Attributes:
        boundary: Name of the layer after which it is cut.
        before: Graphs that follow one another up to the cut.
        after: Graphs that follow one another from the cut on.
    """

    boundary: str
    before: tuple[keras.Model, ...]
    after: tuple[keras.Model, ...]

    @cached_property
    def frozen(self) -> keras.Model:
        """From pixels to features; nothing in it trains or draws random numbers."""
        return _joined(self.before, "prefix")

    @cached_property
    def trainable(self) -> keras.Model:
        """From features to float32 logits. What it learns, the whole network has learnt."""
        return _joined(self.after, "rest")

    def further(self) -> Cut | None:
        """Cut the rest once more, by what acts in training now; None where that cuts nothing."""
        return _cut(self.after)


def cut_network(classifier: keras.Model) -> Cut | None:
    """Cut a classifier at the last single tensor before anything that acts otherwise in training.

    Layers act otherwise that train, drop at random, or normalise by the batch. The cut lies where
    one tensor carries everything, so that branches and skips stay whole: behind a cut vertex of
    the graph. Where the whole backbone is frozen, it lies behind the pooling.

    Args:
        classifier: As ``build_classifier`` makes it, after ``freeze``.

    Returns:
        The two parts: (batch, size, size, 3) float32 pixels, 0..255, to features, and those to
        (batch, classes) logits. None where no kernel lies before a cut, as when everything trains.
    """
    whole = next(n for n in _in_order(classifier) if n.operation.name == "backbone")
    stem = keras.Model(classifier.input, whole.input_tensors[0], name="stem")
    head = keras.Model(whole.output_tensors[0], classifier.output, name="head")
    return _cut((stem, whole.operation, head))


def _cut(graphs: tuple[keras.Model, ...]) -> Cut | None:
    at = next(place for place, graph in enumerate(graphs) if _acts_in_training(graph))
    before, (graph, *after) = graphs[:at], graphs[at:]
    cut = _last_cut(graph)
    if cut is not None:
        tensor = cut.output_tensors[0]
        before = (*before, keras.Model(graph.input, tensor))
        graph = keras.Model(tensor, graph.output)
    if not any(len(weight.shape) > 1 for one in before for weight in one.weights):
        return None
    boundary = (cut or _in_order(before[-1])[-1]).operation.name
    return Cut(boundary, before, (graph, *after))


def _joined(graphs: tuple[keras.Model, ...], name: str) -> keras.Model:
    first = graphs[0].input
    tensor = inputs = keras.Input(first.shape[1:], dtype=first.dtype)
    for graph in graphs:
        tensor = graph(tensor)
    return keras.Model(inputs, tensor, name=name)


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
