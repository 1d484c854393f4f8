"""Reading files of weights, layer by layer, in the layouts of Keras 2 and Keras 3."""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_transfer.errors import BadWeights

if TYPE_CHECKING:
    import h5py
    import keras

__all__ = ["Held", "held", "opened", "parameters"]


class Held(NamedTuple):
    """What a file holds for one layer.

    Attributes:
        name: What the file calls the layer; empty if it holds none.
        arrays: The layer's weights, in the order of ``layer.weights``.
    """

    name: str
    arrays: Sequence[Any]


@contextmanager
def opened(path: Path) -> Iterator[h5py.Group]:
    """Open a ``.weights.h5``, ``.h5`` or ``.keras`` file at the weights of the backbone in it.

    Raises:
        BadWeights: It is not there, is of another format, or breaks off.
    """
    import h5py

    if not (path.is_file() and os.access(path, os.R_OK)):
        raise BadWeights(
            f"There is no file of weights {path}, or none that may be read. "
            "Besides a file, weights are 'imagenet' or 'none'."
        )
    with ExitStack() as stack:
        try:
            source: Any = path
            if path.suffix == ".keras":
                archive = stack.enter_context(zipfile.ZipFile(path))
                source = stack.enter_context(archive.open("model.weights.h5"))
            root = _backbone_in(stack.enter_context(h5py.File(source, "r")))
            if root is None:
                raise BadWeights(f"{path} is an HDF5 file, but not one of weights saved by Keras.")
            yield root
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise BadWeights(_unreadable(path, error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        start = file.read(24)
    return (
        f"{path} cannot be read as weights: {error}. It is {path.stat().st_size} bytes long and "
        f"begins with {start!r}; weights are HDF5 files (.weights.h5, .h5) or .keras files, and "
        "one whose download broke off must be fetched again."
    )


def _backbone_in(file: h5py.Group) -> h5py.Group | None:
    """Go down to the group that holds the layers: of a network, or of the one in a classifier."""
    root = file.get("model_weights", file)
    if _names(root, "layer_names"):
        return root
    return file["layers"].get("functional", file) if "layers" in file else None


def held(root: h5py.Group, layers: Sequence[keras.Layer]) -> tuple[list[Held], list[str]]:
    """Find what a file holds for each of a network's layers.

    Keras 2 lists the layers that have weights from input to output; Keras 3 files each layer
    under its class and its number among the layers of that class. Names are not compared:
    Keras numbers unnamed layers differently from one process to the next.

    Args:
        root: As ``opened`` gives it.
        layers: All layers of the network, in its own order.

    Returns:
        One ``Held`` for each layer with weights, and the names of the layers with weights in the
        file that are left over.
    """
    if _names(root, "layer_names"):
        return _held_keras2(root, layers)
    return _held_keras3(root, layers)


def _held_keras2(root: h5py.Group, layers: Sequence[keras.Layer]) -> tuple[list[Held], list[str]]:
    stored = []
    for name in _names(root, "layer_names"):
        arrays = [root[name][one] for one in _names(root[name], "weight_names")]
        if arrays:
            stored.append(Held(name, arrays))
    count = sum(bool(layer.weights) for layer in layers)
    missing = [Held("", ())] * (count - len(stored))
    return stored[:count] + missing, [one.name for one in stored[count:]]


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Read a list of names, which is stored in numbered pieces where it is long."""
    pieces = [attribute] if attribute in group.attrs else []
    while (piece := f"{attribute}{len(pieces)}") in group.attrs:
        pieces.append(piece)
    names = [name for piece in pieces for name in group.attrs[piece]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _held_keras3(root: h5py.Group, layers: Sequence[keras.Layer]) -> tuple[list[Held], list[str]]:
    group = root["layers"]
    keys = _keys(layers)
    found = [
        _held_by(group.get(key), layer)
        for key, layer in zip(keys, layers, strict=True)
        if layer.weights
    ]
    rest = [_name(group[key]) for key in group if key not in keys and _weighs(group[key])]
    return found, rest


def _keys(layers: Sequence[keras.Layer]) -> list[str]:
    """Name the groups of layers as Keras 3 does: conv2d, conv2d_1, batch_normalization, ..."""
    seen: Counter[str] = Counter()
    keys = []
    for layer in layers:
        words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
        keys.append(f"{kind}_{seen[kind]}" if seen[kind] else kind)
        seen[kind] += 1
    return keys


def _held_by(group: h5py.Group | None, layer: keras.Layer) -> Held:
    return Held("", ()) if group is None else Held(_name(group), list(_arrays(group, layer)))


def _arrays(group: h5py.Group, layer: keras.Layer) -> Iterator[h5py.Dataset]:
    variables = group.get("vars", {})
    yield from (variables[key] for key in sorted(variables, key=int))
    inner = getattr(layer, "layers", ())  # ConvNeXt's stem is a Sequential
    for key, one in zip(_keys(inner), inner, strict=True):
        if key in group.get("layers", {}):
            yield from _arrays(group["layers"][key], one)


def _name(group: h5py.Group) -> str:
    name = group["vars"].attrs.get("name", "") if "vars" in group else ""
    return str(name) or group.name.rpartition("/")[2]


def _weighs(group: h5py.Group) -> bool:
    return len(group.get("vars", ())) > 0 or any(map(_weighs, group.get("layers", {}).values()))


def parameters(root: h5py.Group) -> int:
    """Count the parameters of the layers; random states of dropout layers are none."""
    sizes: dict[str, int] = {}

    def count(path: str, node: Any) -> None:
        if hasattr(node, "shape") and "seed_generator" not in path:
            sizes[path] = int(node.size)

    root.get("layers", root).visititems(count)
    return sum(sizes.values())
