"""Cut a partly frozen network into the frozen part, which runs once, and the trainable part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

__all__ = ["FEATURES", "Cut", "cut_network", "fingerprint", "in_order", "output_of"]

FEATURES = "features"
"""Name of the trainable part's first input."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A network in two parts with shared layers: ``trainable(frozen(inputs))`` gives its outputs.

    Attributes:
        boundary: Name of the last layer before the cut.
        before: Graphs that follow one another up to the cut.
        after: Graphs that follow one another from the cut on. The first input of each is what the
            graph before it gives, the others are passed along.
        inputs: Names of the network's inputs, in the order that the first graph takes them.
        passthrough: Names of inputs of the trainable part besides the features, such
            as a padding mask.
    """

    boundary: str
    before: tuple[keras.Model, ...]
    after: tuple[keras.Model, ...]
    inputs: tuple[str, ...] = ("pixels",)
    passthrough: tuple[str, ...] = ()

    # Cached: what OpenVINO makes of the model is remembered by this object.
    @cached_property
    def frozen(self) -> keras.Model:
        """From the inputs, in their order, to features; nothing in it trains or draws numbers."""
        return _joined(self.before, "frozen")

    @cached_property
    def trainable(self) -> keras.Model:
        """From {"features": ...} and what is passed along to the network's outputs."""
        return _joined(self.after, "trainable", (FEATURES, *self.passthrough))

    def further(self) -> Cut | None:
        """Cut the trainable part again, by the current state of its layers; None without a cut."""
        if self.passthrough:
            return None
        return _cut(self.after, self.inputs)


def cut_network(
    model: keras.Model, backbones: Sequence[str] = ("backbone",), passthrough: Sequence[str] = ()
) -> Cut | None:
    """Cut a network at the last single tensor before the first operation that depends on training.

    Layers act otherwise that train, drop at random, or normalize by the batch. The cut lies where
    one tensor carries everything, so that branches and skips stay intact: behind a cut vertex of
    the graph. Where the backbone is frozen completely, it lies behind the pooling.

    Args:
        model: From inputs by name to outputs by name, after ``freeze``.
        backbones: Names of the layers that are backbones.
        passthrough: Names of inputs that both parts may take; what is computed of them alone does
            not count.

    Returns:
        Its two parts: inputs, e.g. (batch, size, size, 3) float32 pixels, 0..255, to features, and
        those to its outputs. None where no kernel lies before a cut, as when everything trains.
    """
    (name,) = backbones
    backbone = next(node for node in in_order(model) if node.operation.name == name)
    if not isinstance(backbone.operation, keras.Model):
        return _cut_flat(model, tuple(passthrough))
    (given,) = model.inputs
    stem = keras.Model(given, backbone.input_tensors[0], name="stem")
    head = keras.Model(backbone.output_tensors[0], model.output, name="head")
    return _cut((stem, backbone.operation, head), tuple(model.input))


def output_of(model: keras.Model, name: str) -> keras.KerasTensor:
    """What a layer gives in a model; the layer's own ``output`` is ambiguous if it is shared."""
    node = next(node for node in in_order(model) if node.operation.name == name)
    return node.output_tensors[0]


def _cut(graphs: tuple[keras.Model, ...], inputs: tuple[str, ...]) -> Cut | None:
    at = next(place for place, graph in enumerate(graphs) if _acts_in_training(graph))
    before, (graph, *after) = graphs[:at], graphs[at:]
    last = _last_cut(graph)
    if last is not None:
        tensor = last.output_tensors[0]
        before = (*before, keras.Model(graph.input, tensor))
        graph = keras.Model(tensor, graph.output)
    # Without a kernel the frozen part is too cheap to be worth a cache of its output.
    if not any(len(weight.shape) > 1 for part in before for weight in part.weights):
        return None
    boundary = (last or in_order(before[-1])[-1]).operation.name
    return Cut(boundary, before, (graph, *after), inputs)


def _cut_flat(model: keras.Model, passthrough: tuple[str, ...]) -> Cut | None:
    """Cut a model whose backbone is not a separate layer."""
    given: dict[str, keras.KerasTensor] = model.input
    last = _last_cut(model, {id(given[name]) for name in passthrough})
    if last is None:
        return None
    tensor = last.output_tensors[0]
    before = keras.Model([*given.values()], tensor)
    if not any(len(weight.shape) > 1 for weight in before.weights):
        return None
    sides = passthrough if _uses(model, last, {id(given[name]) for name in passthrough}) else ()
    after = _again(model, [tensor, *(given[name] for name in sides)])
    return Cut(last.operation.name, (before,), (after,), tuple(given), sides)


def _again(model: keras.Model, given: Sequence[keras.KerasTensor]) -> keras.Model:
    """Call the layers of a model again, from some of its tensors on.

    ``keras.Model(given, model.output)`` would do so too, but if some of them are inputs of the
    model and others are not, Keras 3.15 leaves that model without its own inputs.
    """
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype) for x in given]
    tensors = {id(old): new for old, new in zip(given, inputs, strict=True)}
    for node in in_order(model):
        known = all(id(tensor) in tensors for tensor in node.input_tensors)
        if node.is_input or not known or id(node.output_tensors[0]) in tensors:
            continue
        args, kwargs = node.arguments.fill_in(tensors)
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        tensors |= {id(old): new for old, new in zip(node.output_tensors, outputs, strict=True)}
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.output)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)


def _uses(model: keras.Model, last: Any, sides: set[int]) -> bool:
    """Whether what follows a node takes anything that is computed of some inputs alone."""
    nodes, passed = in_order(model), set(sides)
    behind = False
    for node in nodes:
        given = [id(tensor) in passed for tensor in node.input_tensors]
        if given and all(given):
            passed |= {id(tensor) for tensor in node.output_tensors}
        elif behind and any(given):
            return True
        behind = behind or node is last
    return False


def _joined(graphs: tuple[keras.Model, ...], name: str, given: Sequence[str] = ()) -> keras.Model:
    first = graphs[0].inputs
    names: Sequence[str | None] = given or [None] * len(first)
    inputs = [
        keras.Input(x.shape[1:], dtype=x.dtype, name=y) for x, y in zip(first, names, strict=True)
    ]
    tensor = graphs[0](inputs if len(inputs) > 1 else inputs[0])
    for graph in graphs[1:]:
        tensor = graph(tensor)
    if given:
        return keras.Model(dict(zip(given, inputs, strict=True)), tensor, name=name)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], tensor, name=name)


def fingerprint(model: keras.Model) -> str:
    """Hash a network's function: operations, connections and weights.

    Names do not count: Keras numbers them by what else was built in the process.
    """
    digest = hashlib.sha256(json.dumps(_structure(model), default=str).encode())
    for weight in model.weights:
        # A hash reads raw memory, which has to be contiguous.
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).data)
    return digest.hexdigest()[:32]


def _structure(graph: keras.Model) -> list[Any]:
    nodes = in_order(graph)
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
    return [type(operation).__name__, _nameless(_config(operation))]


def _config(operation: Any) -> dict[str, Any]:
    if not isinstance(operation, keras.Layer):
        return vars(operation)
    try:
        return operation.get_config()
    except Exception:  # some layers of KerasHub's Swin fail to state theirs
        plain = (bool, int, float, str, tuple)
        return {key: value for key, value in vars(operation).items() if isinstance(value, plain)}


def _nameless(config: Any) -> Any:
    if isinstance(config, list | tuple):
        return [_nameless(value) for value in config]
    if not isinstance(config, dict):
        return config
    # Private attributes are Keras's bookkeeping, such as the nodes of other graphs.
    public = {key: value for key, value in config.items() if not str(key).startswith("_")}
    # `trainable` differs between stages and changes nothing in inference.
    return {key: _nameless(public[key]) for key in public if key not in ("name", "trainable")}


def _last_cut(graph: keras.Model, sides: Collection[int] = ()) -> Any | None:
    """The last node before all that act in training whose output alone reaches what follows it.

    Args:
        graph: Functional.
        sides: Ids of inputs that are passed along; what is computed of them alone does not count.
    """
    nodes = in_order(graph)
    last_use = {
        id(tensor): place for place, node in enumerate(nodes) for tensor in node.input_tensors
    }
    passed, cut, last = set(sides), None, 0
    for place, node in enumerate(nodes):
        if node.input_tensors and all(id(tensor) in passed for tensor in node.input_tensors):
            passed |= {id(tensor) for tensor in node.output_tensors}
        if all(id(tensor) in passed for tensor in node.output_tensors):
            continue
        if _acts_in_training(node.operation):
            break
        # No earlier output is used after this node, so its own carries everything that follows.
        if last <= place and not node.is_input:
            cut = node
        last = max(last, *(last_use.get(id(tensor), 0) for tensor in node.output_tensors))
    return cut


def in_order(graph: keras.Model) -> list[Any]:
    """Nodes of a functional model, none before another whose output it takes.

    Keras has no public way to them: ``layers`` leaves out operations such as ``a + b``, and a
    layer's own ``output`` is ambiguous once it is called in two graphs.
    """
    depths = graph._nodes_by_depth
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth]]


def _acts_in_training(operation: Any) -> bool:
    """Whether an operation learns, draws random numbers, or uses batch statistics."""
    layers = operation._flatten_layers() if isinstance(operation, keras.Layer) else ()
    return any(map(_acts, layers))


def _acts(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.BatchNormalization):
        # In Keras a batch normalization that is not trainable runs in inference mode; its scale
        # and offset may train all the same.
        return layer.trainable or any(weight.trainable for weight in layer.weights)
    # Dropout of rate 0 draws nothing; random layers that have no rate always count.
    random = getattr(layer, "seed_generator", None) is not None and getattr(layer, "rate", 1) > 0
    # Weights of a container are those of its layers, which are asked one by one.
    return random or (not layer._layers and bool(layer.trainable_weights))
