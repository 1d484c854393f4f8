"""Reading files of weights, layer by layer, in the layouts of Keras 2 and Keras 3."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_transfer.errors import BadWeights
from keras_transfer.networks.hdf5_files import opened_hdf5

if TYPE_CHECKING:
    import h5py
    import keras

__all__ = ["Held", "Layout", "layouts", "opened"]


class Held(NamedTuple):
    """The weights in a file for one layer.

    Attributes:
        source: What the file calls the layer, or its group; empty if it holds none.
        arrays: The layer's weights, in the order of ``layer.weights``.
    """

    source: str | h5py.Group
    arrays: Sequence[Any]

    @property
    def name(self) -> str:
        """What the file calls the layer."""
        # Read for messages only: HDF5 can hang on names of a damaged file.
        return self.source if isinstance(self.source, str) else _name(self.source)


class Layout(NamedTuple):
    """One interpretation of a file: assignment of its weights to the layers of a network.

    Attributes:
        layers: What it holds for each layer of the network that has weights.
        rest: Other layers with weights in the file; of a network inside of a Keras 2 network
            without their arrays.
        parameters: Total number of parameters.
    """

    layers: list[Held]
    rest: list[Held]
    parameters: int


@contextmanager
def opened(path: Path) -> Iterator[h5py.Group]:
    """Open a ``.weights.h5``, ``.h5`` or ``.keras`` file at the weights in it.

    Raises:
        BadWeights: It is not there, is of another format, breaks off, or refers to other files.
    """
    with opened_hdf5(path) as file:
        # Keras 2 puts the weights of a complete model into a group of this name.
        root = file.get("model_weights", file)
        if not _names(root, "layer_names") and "layers" not in root:
            raise BadWeights(f"{path} is an HDF5 file, but not one of weights saved by Keras.")
        yield root


def layouts(root: h5py.Group, layers: Sequence[keras.Layer]) -> Iterator[Layout]:
    """All interpretations of a file: as a network, and as a model that contains a network.

    Keras 2 lists the layers that have weights from input to output; Keras 3 files each layer
    under its class and its number among the layers of that class. Names are not compared:
    Keras numbers unnamed layers differently from one process to the next. But the weights of a
    network inside of a Keras 2 network are one list, in which those that were trained come
    first: there names tell which layer each belongs to.

    Args:
        root: As ``opened`` gives it.
        layers: All layers of the network, in its own order.
    """
    if _names(root, "layer_names"):
        yield _keras2(root, layers)
        for name in _names(root, "layer_names"):
            if nested := _nested_keras2(root[name], layers):
                yield nested
    else:
        for group in _networks(root):
            yield _keras3(group, layers)


def _keras2(root: h5py.Group, layers: Sequence[keras.Layer]) -> Layout:
    stored = []
    for name in _names(root, "layer_names"):
        arrays = [root[name][key] for key in _names(root[name], "weight_names")]
        if arrays:
            stored.append(Held(name, arrays))
    count = sum(bool(layer.weights) for layer in layers)
    missing = [Held("", ())] * (count - len(stored))
    return Layout(stored[:count] + missing, stored[count:], _parameters(root))


def _nested_keras2(group: h5py.Group, layers: Sequence[keras.Layer]) -> Layout | None:
    """The weights of a network that is one layer of the file, put in order by their names."""
    owners: dict[str, list[h5py.Dataset]] = {}
    for name in _names(group, "weight_names"):  # such as vgg16/block1_conv1/kernel:0
        owners.setdefault(name.rpartition("/")[0].rpartition("/")[2], []).append(group[name])
    if len(owners) < 2:
        return None
    leaves = [leaf for layer in layers for leaf in _leaves(layer)]
    names = _counterparts(leaves, owners)
    held = []
    for layer in layers:
        if layer.weights:
            own = [names.get(leaf.name, "") for leaf in _leaves(layer)]
            arrays = [array for name in own for array in owners.get(name, ())]
            held.append(Held(", ".join(filter(None, own)), arrays))
    used = set(names.values())
    sizes = sum(int(array.size) for arrays in owners.values() for array in arrays)
    return Layout(held, [Held(name, ()) for name in owners if name not in used], sizes)


def _leaves(layer: keras.Layer) -> Iterator[keras.Layer]:
    """The layers with weights of their own in a layer: itself, or those inside of it."""
    inner = getattr(layer, "layers", None)
    if inner is None and layer.weights:
        yield layer
    for sublayer in inner or ():
        yield from _leaves(sublayer)


def _counterparts(leaves: Sequence[keras.Layer], owners: Iterable[str]) -> dict[str, str]:
    """Names in a file by layer; names that Keras numbers are matched by order."""
    kinds = {_snake(type(leaf).__name__) for leaf in leaves}

    def by_kind(names: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in kinds}
        for name in names:
            kind, _, number = name.rpartition("_") if name[-1:].isdecimal() else (name, "", "0")
            if kind in kinds:
                found[kind].append((int(number), name))
        return {kind: [name for _, name in sorted(pairs)] for kind, pairs in found.items()}

    # Keras numbers layers as they are made, but the numbers need not start at 0.
    kinds_here, kinds_in_file = by_kind(leaf.name for leaf in leaves), by_kind(owners)
    numbered = {
        leaf_name: owner
        for kind in kinds
        # Not strict: the network in the file may have a top.
        for leaf_name, owner in zip(kinds_here[kind], kinds_in_file[kind], strict=False)
    }
    same = set(owners).difference(*kinds_in_file.values())
    return {leaf.name: leaf.name for leaf in leaves if leaf.name in same} | numbered


def _networks(root: h5py.Group) -> Iterator[h5py.Group]:
    """The networks in a Keras 3 file that have layers with weights, the outermost first."""
    if not _weighs(root) or "layers" not in root:
        return
    yield root
    for group in root["layers"].values():
        yield from _networks(group)


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Read a list of names; long ones are stored in numbered pieces."""
    # Keras 2 divides a list that exceeds the 64 kB that HDF5 has for an attribute.
    pieces = [attribute] if attribute in group.attrs else []
    while (piece := f"{attribute}{len(pieces)}") in group.attrs:
        pieces.append(piece)
    names = [name for piece in pieces for name in group.attrs[piece]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _keras3(root: h5py.Group, layers: Sequence[keras.Layer]) -> Layout:
    group, keys = root["layers"], _keys(layers)
    held = [
        _held_by(group.get(key), layer)
        for key, layer in zip(keys, layers, strict=True)
        if layer.weights
    ]
    rest = [
        Held(group[key], list(_numbered(group[key].get("vars", {}))))
        for key in group
        if key not in keys and _weighs(group[key])
    ]
    return Layout(held, rest, _parameters(group))


def _keys(layers: Sequence[keras.Layer]) -> list[str]:
    """Name the groups of layers as Keras 3 does: conv2d, conv2d_1, batch_normalization, ..."""
    seen: Counter[str] = Counter()
    keys = []
    for layer in layers:
        kind = _snake(type(layer).__name__)
        keys.append(f"{kind}_{seen[kind]}" if seen[kind] else kind)
        seen[kind] += 1
    return keys


def _snake(name: str) -> str:
    # The same patterns as in Keras, whose files name their groups by them.
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def _held_by(group: h5py.Group | None, layer: keras.Layer) -> Held:
    return Held("", ()) if group is None else Held(group, list(_arrays(group, layer)))


def _arrays(group: h5py.Group, layer: keras.Layer) -> Iterator[h5py.Dataset]:
    yield from _numbered(group.get("vars", {}))
    inner = getattr(layer, "layers", ())  # ConvNeXt's stem is a Sequential
    for key, inner_layer in zip(_keys(inner), inner, strict=True):
        if key in group.get("layers", {}):
            yield from _arrays(group["layers"][key], inner_layer)


def _numbered(variables: Mapping[str, Any]) -> Iterator[h5py.Dataset]:
    # As text, "10" would come before "2". A gap comes from damage, and would shift the others.
    yield from (variables[str(number)] for number in range(len(variables)))


def _name(group: h5py.Group) -> str:
    name = group["vars"].attrs.get("name", "") if "vars" in group else ""
    return str(name) or group.name.rpartition("/")[2]


def _weighs(group: h5py.Group) -> bool:
    return len(group.get("vars", ())) > 0 or any(map(_weighs, group.get("layers", {}).values()))


def _parameters(root: h5py.Group) -> int:
    """Count the parameters of the layers; random states of dropout layers are none."""
    sizes: dict[str, int] = {}

    def count(path: str, node: Any) -> None:
        if hasattr(node, "shape") and "seed_generator" not in path:
            sizes[path] = int(node.size)

    root.visititems(count)
    return sum(sizes.values())
