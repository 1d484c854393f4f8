"""The one way into ``.keras`` files: an archive of a network and its weights, loaded as data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import BadWeights
from keras_transfer.networks.hdf5_files import CONFIG, WEIGHTS, member, opened_hdf5, reading

if TYPE_CHECKING:
    import keras

__all__ = ["load_keras", "load_keras_weights", "own_classes"]

METADATA = "metadata.json"
MEMBERS = (CONFIG, METADATA, WEIGHTS)

FOREIGN_LAYERS = frozenset(
    {
        "FlaxLayer",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
    }
)
"""Layers that run code of the file, or read other files while they load."""


HUB_LAYERS = frozenset({"PositionEmbedding", "TokenAndPositionEmbedding", "TransformerEncoder"})
"""Layers of KerasHub in our networks for texts."""


def load_keras(path: Path) -> keras.Model:
    """Load a ``.keras`` file, of this package or of the user.

    The archive's own checksums are compared, its weights are checked as those of any other file,
    and Keras is never asked to run code that the file brings.

    Raises:
        BadWeights: It is not there, is damaged, or holds what no model of this package has.
    """
    import keras

    # Keras looks for classes by their names: those of these heads have to be there.
    import keras_transfer.networks.learner_layers
    import keras_transfer.networks.masked_lm

    _check(path)
    names = set(_class_names(_config(path)))
    if "HubBackbone" in names:
        import keras_transfer.networks.hub  # noqa: F401  (Keras looks for the class by its name)
    if HUB_LAYERS & names:
        from keras_transfer.networks.hub import FAMILIES, constructor

        constructor(FAMILIES["bert"])  # KerasHub registers its layers as it is imported
    with reading(path):
        # compile=False: the file holds no optimizer, and losses of ours would need to be
        # registered. safe_mode is stated, because a script may have changed Keras's default.
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def own_classes(path: Path) -> list[str]:
    """Names of the classes in a ``.keras`` file that neither Keras nor this package has.

    Raises:
        BadWeights: As for ``load_keras``.
    """
    with reading(path):
        config = json.loads(member(path, CONFIG))
    known = {"builtins", "keras", "keras_transfer"}
    return sorted(
        {
            str(part["class_name"])
            for part in _objects(config)
            if str(part.get("module") or "keras").partition(".")[0] not in known
        }
    )


def load_keras_weights(model: keras.Model, path: Path) -> None:
    """Load the weights of a ``.keras`` file that this package has written into its network.

    Raises:
        BadWeights: As for ``load_keras``, or it is of another network.
    """
    _check(path)
    with reading(path):
        model.load_weights(path)


def _check(path: Path) -> None:
    with reading(path):
        member(path, METADATA, only=MEMBERS)
        _check_config(path, _config(path))
    with opened_hdf5(path):
        pass  # everything in it is checked by now


def _config(path: Path) -> Any:
    return json.loads(member(path, CONFIG))


def _check_config(path: Path, config: Any) -> None:
    found = sorted(FOREIGN_LAYERS.intersection(_class_names(config)))
    if found:
        raise BadWeights(
            f"{path} has the layers {', '.join(found)}, which run code or read other files as "
            "they load. Such a file is not loaded; layers such as Rescaling, and operations of "
            "keras.ops, hold no code."
        )


def _class_names(config: Any) -> Iterator[str]:
    """Names of all classes in a configuration, at any depth."""
    return (part["class_name"].rpartition(">")[2] for part in _objects(config))


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """All parts of a configuration that have a class, at any depth."""
    inner = [config]
    while inner:
        part = inner.pop()
        if isinstance(part, dict):
            if isinstance(part.get("class_name"), str):
                yield part
            inner.extend(part.values())
        elif isinstance(part, list):
            inner.extend(part)
