"""A functional model as one list of calls, networks inside of it included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras

from keras_transfer.networks.cutting import in_order

__all__ = ["PIXELS", "Call", "FlatGraph", "functional"]

PIXELS = 0
"""Number of the tensor that is the model's only input."""

NOISE = re.compile(
    "(Alpha|Gaussian)?Dropout|SpatialDropout[123]D|GaussianNoise|AugMix|RandAugment"
    # RandomCrop crops in `predict` too.
    "|Random(?!Crop).+"
)
"""Classes of layers that do nothing in ``predict``."""


class Call(NamedTuple):
    """One call of a layer, or of an operation such as ``a + b``.

    Attributes:
        operation: What is called; the same one in several calls shares its weights.
        node: Keras's record of the call.
        given: Numbers of the tensors that it takes.
        made: Numbers of the tensors that it returns.
        name: Of the operation, which no other operation of the graph has.
    """

    operation: Any
    node: Any
    given: list[int]
    made: list[int]
    name: str

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of the first tensor that it returns."""
        return tuple(self.node.output_tensors[0].shape)

    @property
    def kind(self) -> str:
        """Name of the operation's class."""
        return type(self.operation).__name__


class FlatGraph:
    """The calls of a model in order, none before another whose result it takes.

    Networks inside of the model are replaced by their calls. Dropout, noise and random
    augmentation are left out.

    Args:
        model: Functional or Sequential, with one input.
    """

    def __init__(self, model: keras.Model):
        self.calls: list[Call] = []
        self.ends: dict[str, int] = {}
        self.size = PIXELS + 1
        self._names: dict[int, str] = {}
        graph = functional(model)
        assert graph is not None
        self.outputs = self._walk(graph, [PIXELS], "")

    def _walk(self, graph: Any, given: list[int], scope: str) -> list[int]:
        """Append the calls of a graph; returns the numbers of its outputs."""
        known = {id(t): number for t, number in zip(graph.inputs, given, strict=True)}
        for node in in_order(graph):
            if node.is_input:
                continue
            operation, inputs = node.operation, [known[id(t)] for t in node.input_tensors]
            inner = functional(operation)
            if inner is not None:
                outputs = self._walk(inner, inputs, operation.name)
            elif _is_noise(operation):
                outputs = inputs
            else:
                outputs = [*range(self.size, self.size + len(node.output_tensors))]
                self.size += len(outputs)
                name = self._unique(operation, scope)
                self.calls.append(Call(operation, node, inputs, outputs, name))
                self.ends[name] = outputs[0]
            # The name of a network inside means its output, unless a layer is called so.
            self.ends.setdefault(operation.name, outputs[0])
            known |= {id(t): n for t, n in zip(node.output_tensors, outputs, strict=True)}
        return [known[id(tensor)] for tensor in graph.outputs]

    def _unique(self, operation: Any, scope: str) -> str:
        if id(operation) not in self._names:
            taken, name = set(self._names.values()), operation.name
            if name in taken:
                name = first = f"{scope}_{name}".strip("_")
                number = 1
                while name in taken:
                    name, number = f"{first}_{number}", number + 1
            self._names[id(operation)] = name
        return self._names[id(operation)]

    def narrow(self) -> Iterator[Call]:
        """The calls whose single result carries all that later calls and the outputs take."""
        last_use = {n: place for place, call in enumerate(self.calls) for n in call.given}
        last_use |= dict.fromkeys(self.outputs, len(self.calls))
        last = last_use.get(PIXELS, 0)
        for place, call in enumerate(self.calls):
            if last <= place and len(call.made) == 1:
                yield call
            last = max([last, *(last_use.get(number, 0) for number in call.made)])

    def before(self, tensor: int) -> list[Call]:
        """The calls that a tensor is computed by, in order."""
        needed, found = {tensor}, []
        for call in reversed(self.calls):
            if needed.intersection(call.made):
                needed.update(call.given)
                found.append(call)
        return found[::-1]

    def rebuilt(self, tensor: int, size: int, weights: bool) -> keras.Model:
        """Build a new network from pixels to a tensor, of new layers.

        New ones, since a layer that is called in two graphs does not know its own output.

        Args:
            tensor: Its number.
            size: Side of the images in pixels.
            weights: Whether the weights are copied; else only what normalizes pixels is.

        Raises:
            ValueError: An operation cannot be called on what this size gives.
        """
        pixels = keras.Input((size, size, 3), dtype="float32")
        tensors, clones = {PIXELS: pixels}, _Clones()
        for call in self.before(tensor):
            given = {
                id(old): tensors[number]
                for old, number in zip(call.node.input_tensors, call.given, strict=True)
            }
            args, kwargs = call.node.arguments.fill_in(given)
            # `base(x, training=False)`: what is frozen is a setting here, and not in the graph.
            kwargs.pop("training", None)
            results = keras.tree.flatten(clones.of(call)(*args, **kwargs))
            tensors |= dict(zip(call.made, results, strict=True))
        clones.fill(weights)
        return keras.Model(pixels, tensors[tensor], name="backbone")


class _Clones:
    """New operations with the settings of old ones."""

    def __init__(self) -> None:
        self.pairs: dict[int, tuple[Any, Any]] = {}

    def of(self, call: Call) -> Any:
        key = id(call.operation)
        if key not in self.pairs:
            config = call.operation.get_config() | {"name": call.name}
            if isinstance(call.operation, keras.Layer):
                config = _quiet(config, call.kind)
            self.pairs[key] = (call.operation, type(call.operation).from_config(config))
        return self.pairs[key][1]

    def fill(self, weights: bool) -> None:
        """Copy the weights, or only the statistics of Normalization layers."""
        for old, new in self.pairs.values():
            statistics = isinstance(old, keras.layers.Normalization)
            if isinstance(old, keras.Layer) and old.weights and (weights or statistics):
                new.set_weights(old.get_weights())
                if statistics:
                    new.finalize_state()  # it computes with a copy of them


def _quiet(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Settings of a layer without dropout, of the precision of this run."""
    found = {k: 0.0 if k in ("dropout", "recurrent_dropout") else v for k, v in config.items()}
    # bfloat16 cannot tell neighbouring pixel values apart.
    return found | {"dtype": "float32" if kind in ("Rescaling", "Normalization") else None}


def functional(operation: Any) -> Any:
    """The graph of a functional or Sequential model; None for anything else."""
    if isinstance(operation, keras.Sequential):
        operation = operation._functional
    return operation if hasattr(operation, "_nodes_by_depth") else None


def _is_noise(operation: Any) -> bool:
    return bool(NOISE.fullmatch(type(operation).__name__))
