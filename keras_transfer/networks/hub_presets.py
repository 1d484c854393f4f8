"""Pretrained weights of KerasHub: its presets, and folders of Hugging Face and timm."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_transfer.errors import BadWeights
from keras_transfer.networks.backbone_spec import BackboneSpec, HubPreset
from keras_transfer.networks.backbones import BACKBONES
from keras_transfer.networks.hub_backbones import HUB_BACKBONES
from keras_transfer.networks.hub_text_backbones import HUB_TEXT_BACKBONES
from keras_transfer.networks.preprocessing import PREPROCESSINGS
from keras_transfer.networks.preset_files import (
    check_encoder,
    check_files,
    declared_scale,
    vocabulary_file,
)
from keras_transfer.networks.text_backbones import TEXT_BACKBONES

if TYPE_CHECKING:
    import keras

__all__ = [
    "PRESET",
    "PUBLISHED",
    "Place",
    "is_preset",
    "load_preset",
    "place_of",
    "preset_config",
    "preset_folder",
]

PRESET = "preset:"
"""What the settings of weights begin with that are a folder for KerasHub."""

PUBLISHED = "preset"
"""The weights of a network for texts that KerasHub publishes; of images they are "imagenet"."""

FIXED_POSITIONS = ("clip", "deit", "siglip", "vit")
"""Families whose position embedding is made for one size of images."""

OURS = (
    *("data_format", "dtype", "image_shape", "input_shape", "name"),
    *("position_embedding_shape", "trainable"),
)
"""Arguments of KerasHub's networks that do not come from a preset."""


RESIZED = "interpolated_position_embeddings"
"""Attribute of DINOv2's embeddings: positions for the size of the images."""


class Place(NamedTuple):
    """Where the preset of a backbone is on this machine, and where it comes from."""

    path: Path
    present: bool
    url: str
    license: str
    gated: bool


def is_preset(name: str, weights: str) -> bool:
    """Whether the weights of a backbone are read by KerasHub."""
    published = "imagenet" if name in HUB_BACKBONES else PUBLISHED
    return weights == published or weights.startswith(PRESET)


def place_of(name: str) -> Place:
    """Where kagglehub keeps the preset of a row of ``BACKBONES`` or ``TEXT_BACKBONES``."""
    hub = _hub(name, PUBLISHED)
    cache = os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub"
    path = Path(cache, "models", *hub.handle.removeprefix("kaggle://").split("/"))
    present = (path / "config.json").is_file()
    return Place(path, present, hub.handle, hub.license, hub.gated)


def preset_config(name: str, weights: str) -> Mapping[str, Any] | None:
    """Arguments of a network as its preset has them; None if the weights are of no preset.

    Raises:
        BadWeights: The preset is not there, or is of another network than ``name``.
    """
    if not is_preset(name, weights):
        return None
    return _config(_loaded(name, weights, load_weights=False), _hub(name, weights))


def preset_folder(name: str, weights: str) -> Path:
    """The folder of a preset for texts, with its vocabulary; downloaded if it is not there.

    Raises:
        BadWeights: It is not there, or holds what no preset has.
    """
    _hub(name, weights)
    if weights.startswith(PRESET):
        return Path(_folder(name, weights))
    place = place_of(name)
    # KerasHub gets some files of a preset only when they are asked for.
    if not place.present or vocabulary_file(place.path) is None:
        try:
            import kagglehub

            kagglehub.model_download(place.url.removeprefix("kaggle://"))
        except Exception as error:  # of the network, of Kaggle, of a missing package
            raise BadWeights(_unreadable(name, place.url, weights, error)) from None
    check_files(place.path)
    return place.path


def load_preset(backbone: keras.Model, weights: str, name: str) -> None:
    """Fill a backbone in place.

    A position embedding that is made for images of another size is resized: bicubic, with
    antialiasing, as timm does it.

    Args:
        backbone: As ``build_backbone`` makes it with ``preset_config``.
        weights: ``preset:DIR``: a preset of KerasHub, or a folder of Hugging Face or timm with
            config.json and model.safetensors. Or "imagenet": the preset of the row.
        name: A row of ``BACKBONES`` or ``TEXT_BACKBONES``.

    Raises:
        BadWeights: The preset is not there, cannot be read, is of another network, or was trained
            with pixels on another scale.
    """
    hub = _hub(name, weights)
    if name in TEXT_BACKBONES:
        _load_text(backbone, weights, name)
        return
    row = BACKBONES[name]
    _check_scale(name, row, weights)
    size = backbone.input_shape[1]
    shape = {} if hub.family in FIXED_POSITIONS else {"image_shape": (size, size, 3)}
    if hub.family == "efficientnet":
        shape = {}  # its images may have any size, and the argument another name
    source = _loaded(name, weights, load_weights=True, **shape)
    _config(source, hub)
    positions = getattr(getattr(source, "embeddings", None), RESIZED, None)
    _copy(source.weights, backbone.weights, row.prefix_tokens or 0, positions)


def _load_text(backbone: keras.Model, weights: str, name: str) -> None:
    from keras_transfer.networks.hub import FAMILIES
    from keras_transfer.networks.hub_texts import flat

    hub = _hub(name, weights)
    check_encoder(preset_folder(name, weights))
    source = _loaded(name, weights, load_weights=True)
    _config(source, hub)
    length = backbone.output_shape[1]
    _copy(flat(source, FAMILIES[hub.family], length).weights, backbone.weights, 0, None)


def _hub(name: str, weights: str) -> HubPreset:
    text = name in TEXT_BACKBONES
    hub = TEXT_BACKBONES[name].hub if text else BACKBONES[name].hub
    if hub is None:
        having = HUB_TEXT_BACKBONES if text else HUB_BACKBONES
        raise BadWeights(
            f"weights = {weights}: {name} is no network of KerasHub, so it has no presets. Those "
            f"that have are {', '.join(having)}."
        )
    return hub


def _loaded(name: str, weights: str, **arguments: Any) -> Any:
    """A network of KerasHub, as a preset has it."""
    from keras_transfer.networks.hub import FAMILIES, constructor

    family = FAMILIES[_hub(name, weights).family]
    constructor(family)  # says so where KerasHub is not installed
    import keras_hub

    where = _folder(name, weights)
    try:
        network = keras_hub.models.Backbone.from_preset(where, **arguments)
    except Exception as error:  # of the network, of Kaggle, of files in any state
        raise BadWeights(_unreadable(name, where, weights, error)) from None
    network = getattr(network, family.part, network) if family.part else network
    if type(network).__name__ != family.name:
        raise BadWeights(f"{where} is a preset of {type(network).__name__}, not of {family.name}.")
    return network


def _folder(name: str, weights: str) -> str:
    if not weights.startswith(PRESET):
        if name in TEXT_BACKBONES:
            return str(preset_folder(name, weights))
        place = place_of(name)
        return str(place.path) if place.present else place.url
    path = Path(weights.removeprefix(PRESET)).expanduser()
    if not (path / "config.json").is_file():
        raise BadWeights(
            f"weights = {weights}: there is no config.json in {path}. A preset is a folder of "
            "KerasHub, Hugging Face or timm: config.json with model.weights.h5 or "
            "model.safetensors."
        )
    check_files(path)
    return str(path)


def _unreadable(name: str, where: str, weights: str, error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    if weights.startswith(PRESET):
        return f"{where} cannot be read as a preset: {said}"
    model = where.removeprefix("kaggle://")
    accept = " Its license has to be accepted there first." if place_of(name).gated else ""
    return (
        f"The weights of {name} cannot be downloaded from {where}: {said}. Where there is a "
        f"network: python -c \"import kagglehub; print(kagglehub.model_download('{model}'))\"."
        f"{accept} Copy that folder here and use --weights preset:DIR."
    )


def _config(network: Any, hub: HubPreset) -> dict[str, Any]:
    """What a preset says, if it is of the network of the row."""
    from keras_transfer.networks.hub import FAMILIES, complete

    found = {key: value for key, value in network.get_config().items() if key not in OURS}
    wanted = complete(hub.family, hub.config)
    for key in FAMILIES[hub.family].sizes:
        if key in wanted and _plain(found.get(key)) != _plain(wanted[key]):
            raise BadWeights(
                f"The preset has {key} = {found.get(key)}, and the backbone {wanted[key]}: it is "
                "of another network. See kt-recipe weights list for those there are."
            )
    return found


def _plain(value: Any) -> Any:
    """Lists as tuples, and 16 for (16, 16)."""
    if isinstance(value, list | tuple):
        plain = tuple(_plain(one) for one in value)
        return plain[0] if len(plain) == 2 and len(set(plain)) == 1 else plain
    return value


def _copy(source: Sequence[Any], target: Sequence[Any], prefix: int, resized: Any) -> None:
    """Copy weights in place.

    Args:
        source: Of the preset.
        target: Of the backbone.
        prefix: Number of tokens that are no patches.
        resized: The position embedding as the preset's network has resized it; None where it does
            not do that itself.
    """
    # Keras numbers variables that have no name of their own by what else was built.
    names = [
        [re.sub(r"_\d+$", "", one.path.rpartition("/")[2]) for one in weights]
        for weights in (source, target)
    ]
    if names[0] != names[1]:
        raise BadWeights("The weights of the preset do not fit the network: other layers.")
    if resized is not None:  # DINOv2 has it twice: as it was trained, and resized
        source = [resized if "position_embeddings" in one.path else one for one in source]
    arrays = [_fitted(old, new, prefix) for old, new in zip(source, target, strict=True)]
    for weight, array in zip(target, arrays, strict=True):
        weight.assign(array)


def _fitted(old: Any, new: Any, prefix: int) -> np.ndarray:
    array = np.asarray(old)
    if tuple(old.shape) == tuple(new.shape):
        if not np.isfinite(array).all():
            raise BadWeights(f"The preset holds NaN or infinite weights for {old.path}.")
        return array
    if "position" not in new.path:
        raise BadWeights(f"{new.path} wants {tuple(new.shape)}; the preset holds {old.shape}.")
    if not np.issubdtype(array.dtype, np.floating):
        return np.asarray(new)  # numbers of places, by which embeddings are looked up
    return resized_positions(array, new.shape, prefix)


def resized_positions(array: np.ndarray, shape: Sequence[int], prefix: int) -> np.ndarray:
    """Resize a position embedding to another number of patches.

    Args:
        array: (..., tokens, channels) floats, for a square of patches after the prefix.
        shape: What is wanted; the same but for the number of tokens.
        prefix: Number of tokens that are no patches and stay as they are; only if there are some.

    Returns:
        Of ``shape``.
    """
    import tensorflow as tf

    tokens = array.reshape(-1, array.shape[-1])
    count = shape[-2]
    # SigLIP has a pooled token, but no position of it.
    prefix = prefix if int(np.sqrt(count)) ** 2 != count else 0
    sides = [int(np.sqrt(number - prefix)) for number in (len(tokens), count)]
    square = tokens[prefix:].reshape(1, sides[0], sides[0], -1)
    resized = tf.image.resize(square, (sides[1], sides[1]), "bicubic", antialias=True)
    patches = resized.numpy().reshape(-1, array.shape[-1])
    return np.concatenate([tokens[:prefix], patches]).reshape(shape).astype(array.dtype)


def _check_scale(name: str, row: BackboneSpec, weights: str) -> None:
    """Pixels must reach the network as they did in its training: what the preset says of it."""
    found = declared_scale(Path(_folder(name, weights)))
    if found is None:
        return
    wanted = PREPROCESSINGS[row.preprocessing]
    pairs = {"scale": (wanted.scale, found[0]), "offset": (wanted.offset, found[1])}
    for what, pair in pairs.items():
        ours, theirs = (np.broadcast_to(np.asarray(one, float), 3) for one in pair)
        if not np.allclose(ours, theirs, rtol=1e-3, atol=1e-6):
            raise BadWeights(
                f"The preset was trained on pixels with {what} {theirs.round(5).tolist()}, and "
                f"{name} gives {ours.round(5).tolist()}: its answers would be wrong."
            )
