"""Load pretrained weights into a backbone, completely or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_transfer.errors import BadWeights
from keras_transfer.networks import hub_presets, imagenet
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.preset_files import tokenizer_of
from keras_transfer.networks.published import IMAGENET
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, build_text_backbone
from keras_transfer.networks.weight_files import Held, Layout, layouts, opened

if TYPE_CHECKING:
    import h5py
    import keras

__all__ = [
    "SourceClassifier",
    "copy_backbone_weights",
    "load_backbone_weights",
    "load_source_classifier",
    "verify_weights",
]

TOP_LAYERS = 3
"""Maximum number of layers with weights that keras.applications adds to a backbone."""


def load_backbone_weights(
    backbone: keras.Model,
    weights: str,
    *,
    name: str,
    variant: Mapping[str, Any] | None = None,
) -> None:
    """Fill a backbone in place.

    A file may be Keras 3's ``.weights.h5``, Keras 2's ``.h5``, or a ``.keras`` model: of the
    backbone, of the network with its ImageNet top, or of a classifier that holds the backbone as
    a network of its own, as ``build_classifier`` makes it and many tutorials do. Every weight of
    the backbone comes from the file, or none is changed.

    Args:
        backbone: As ``build_backbone`` makes it.
        weights: "none" to leave it as it is, "imagenet" (of texts "preset"), ``preset:DIR`` for a
            network of KerasHub, or the path of a file.
        name: The row of ``BACKBONES`` or ``TEXT_BACKBONES`` that it was built from.
        variant: The options that it was built with.

    Raises:
        BadWeights: There is no such file, or it does not fit; the first layer at fault is named.
    """
    if weights == "none":
        return
    if hub_presets.is_preset(name, weights):
        hub_presets.load_preset(backbone, weights, name)
        return
    if weights == "imagenet":
        path = imagenet.fetch(name, variant, backbone.input_shape[1])
    else:
        path = Path(weights).expanduser()
        if not path.exists():
            raise BadWeights(
                f"The weights file {path} does not exist. Besides a file, weights are 'imagenet', "
                "'preset:DIR' or 'none'."
            )
    with opened(path) as root:
        contents = _read(path, _fitting(path, root, backbone, name).layers, backbone)
    _assign(backbone, contents)


def verify_weights(file: str | Path, name: str, variant: Mapping[str, Any] | None = None) -> None:
    """Check that a file holds weights for a network.

    One that bears the name of the network's published ImageNet weights must have their hash too.

    Raises:
        BadWeights: It does not, or cannot be read.
    """
    if hub_presets.is_preset(name, str(file)):
        _verify_preset(str(file), name)
        return
    path = Path(file).expanduser()
    # Kernels do not depend on the image size, and the smallest network is built fastest.
    backbone = build_backbone(name, image_size=BACKBONES[name].least, variant=variant)
    with opened(path) as root:
        _read(path, _fitting(path, root, backbone, name).layers, backbone)
    published = [row for row in IMAGENET.values() if path.name == row.name]
    if published:
        imagenet.check_hash(path, published[0].hash)


def _verify_preset(weights: str, name: str) -> None:
    config = hub_presets.preset_config(name, weights)
    if name in TEXT_BACKBONES:
        tokenizer_of(hub_presets.preset_folder(name, weights))
        # Weights do not depend on the length.
        backbone = build_text_backbone(name, vocabulary_size=1, length=2, config=config)
    else:
        backbone = build_backbone(name, config=config)
    hub_presets.load_preset(backbone, weights, name)


class SourceClassifier(NamedTuple):
    """The classifier that a backbone was trained with: softmax(mean features @ kernel + bias).

    Attributes:
        kernel: (channels, source classes) float.
        bias: (source classes,) float.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(n, source classes) float64 probabilities of (n, channels) mean features."""
        logits = features.astype("float64") @ self.kernel + self.bias
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        return likely / likely.sum(axis=1, keepdims=True)


def load_source_classifier(
    file: str | Path, backbone: keras.Model, *, name: str
) -> SourceClassifier | None:
    """The classifier of the source classes in a weights file of a network with its top.

    Args:
        file: As for ``load_backbone_weights``.
        backbone: As ``build_backbone`` makes it.
        name: The row of ``BACKBONES`` that it was built from.

    Returns:
        None where the file has none, or one that is more than a Dense layer on mean features, as
        those of VGG, ConvNeXt and MobileNetV3 are.

    Raises:
        BadWeights: The file does not fit the backbone.
    """
    path = Path(file).expanduser()
    with opened(path) as root:
        rest = _fitting(path, root, backbone, name).rest
        shapes = [tuple(array.shape) for held in rest for array in held.arrays]
        channels = backbone.output_shape[-1]
        dense = len(shapes) == 2 and len(shapes[1]) == 1 and shapes[0] == (channels, *shapes[1])
        if len(rest) != 1 or not dense:
            return None
        kernel, bias = (np.asarray(array[...]) for array in rest[0].arrays)
    return SourceClassifier(kernel, bias)


def copy_backbone_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of one backbone to another of the same kind, of any image size.

    Raises:
        BadWeights: They differ in their layers; the first that does is named.
    """
    given = [Held(layer.name, layer.get_weights()) for layer in _weighted(source)]
    layers = _weighted(target)
    missing = [Held("", ())] * (len(layers) - len(given))
    problem = _misfit(layers, [*given, *missing])[1]
    if not problem and len(given) > len(layers):
        problem = f"the source has {len(given) - len(layers)} layers more"
    if problem:
        raise BadWeights(f"The weights do not fit this network: {problem}.")
    _assign(target, given)


def _weighted(backbone: keras.Model) -> list[keras.Layer]:
    return [layer for layer in backbone.layers if layer.weights]


def _read(path: Path, contents: Iterable[Held], backbone: keras.Model) -> list[Held]:
    """Read all arrays, so that a file that breaks off changes no weight."""
    read = []
    for layer, held in zip(_weighted(backbone), contents, strict=True):
        arrays = [np.asarray(array[...]) for array in held.arrays]
        real = ["float" in str(weight.dtype) for weight in layer.weights]
        # One flipped bit makes whole numbers of the bytes of others.
        if any(one and array.dtype.kind != "f" for one, array in zip(real, arrays, strict=True)):
            raise BadWeights(f"{path} holds whole numbers as weights for {held.name!r}.")
        if not all(np.isfinite(array).all() for array in arrays):
            raise BadWeights(
                f"{path} holds NaN or infinite weights for {held.name!r}: it is damaged, or comes "
                "from a training that failed. Get the weights again."
            )
        read.append(Held(held.source, arrays))
    return read


def _assign(backbone: keras.Model, contents: Iterable[Held]) -> None:
    for layer, (_, arrays) in zip(_weighted(backbone), contents, strict=True):
        for weight, array in zip(layer.weights, arrays, strict=True):
            weight.assign(array)
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # EfficientNet's Normalization computes with a copy of them


def _fitting(path: Path, root: h5py.Group, backbone: keras.Model, name: str) -> Layout:
    """The first interpretation of a file that fits; otherwise the error of the nearest one."""
    misfits = []
    for layout in layouts(root, backbone.layers):
        fitting, problem = _misfit(_weighted(backbone), layout.layers)
        if not problem and len(layout.rest) > TOP_LAYERS:
            problem = f"it holds {len(layout.rest)} layers more, such as {layout.rest[0].name!r}"
        if not problem:
            return layout
        away = abs(layout.parameters - backbone.count_params())
        misfits.append((-fitting, away, problem, layout))
    if not misfits:
        raise BadWeights(f"{path} holds no layer with weights.")
    # Only two items: ties must not compare layouts, which hold arrays.
    _, _, problem, nearest = min(misfits, key=lambda misfit: misfit[:2])
    raise BadWeights(f"{path} does not fit {name}: {problem}.{_likely(nearest.parameters, name)}")


def _misfit(layers: Sequence[keras.Layer], layouts: Sequence[Held]) -> tuple[int, str]:
    """Number of layers that match, and the problem with the next one; "" if all match."""
    for place, (layer, held) in enumerate(zip(layers, layouts, strict=False)):
        expected = [tuple(weight.shape) for weight in layer.weights]
        offered = [tuple(array.shape) for array in held.arrays]
        if not offered:
            return (
                place,
                f"it holds nothing for layer {layer.name!r}, which wants {_some(expected)}",
            )
        if expected != offered:
            pairs = [pair for pair in zip(expected, offered, strict=False) if pair[0] != pair[1]]
            if len(expected) == len(offered):  # show only the shapes that differ
                expected, offered = [pairs[0][0]], [pairs[0][1]]
            held_as = f"it holds {_some(offered)} as {held.name!r}"
            return place, f"layer {layer.name!r} wants {_some(expected)}, {held_as}"
    return len(layers), ""


def _some(shapes: Sequence[object]) -> str:
    """Shapes for a message, abbreviated for a nested network with hundreds of them."""
    more = f" and {len(shapes) - 6} more" if len(shapes) > 6 else ""
    return _listed(shapes[:6]) + more


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _likely(count: int, name: str) -> str:
    """Guess the network of a file that does not fit, by its number of parameters."""
    same_size = [backbone for backbone, row in BACKBONES.items() if row.parameters == count]
    if same_size:
        return f" It has as many parameters as {same_size[0]}."
    options = [
        f"{option} = {_listed(sorted(values))}"
        for option, values in (BACKBONES[name].variants.items() if name in BACKBONES else ())
    ]
    return f" Is it of another variant ({'; '.join(options)})?" if options else ""
