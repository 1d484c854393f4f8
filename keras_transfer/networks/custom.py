"""Any Keras model of an image as a backbone: ``FILE.keras``, without its head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import BadConfiguration, BadWeights, UnknownName
from keras_transfer.networks.keras_files import load_keras, own_classes

if TYPE_CHECKING:
    import keras

    from keras_transfer.networks.flat_graph import Call, FlatGraph

__all__ = ["KerasFile", "is_keras_file", "read_keras_file"]

HEADS = ("GlobalAveragePooling2D", "GlobalMaxPooling2D")
"""Layers that begin a head even if they keep the rank (``keepdims=True``)."""

SCALING = ("Rescaling", "Normalization", "Add", "Divide", "Multiply", "Subtract", "TrueDivide")
"""Operations before all others that map pixels to what a network was trained on."""


def is_keras_file(name: str) -> bool:
    """Whether the name of a backbone means a file."""
    return name.endswith(".keras")


def read_keras_file(name: str) -> KerasFile:
    """Load the model of a file, and check that it is a network of one image.

    Raises:
        BadWeights: The file is not there, is damaged, or holds code of its own.
        BadConfiguration: The model is subclassed, or takes anything but one RGB image.
    """
    from keras_transfer.networks.flat_graph import FlatGraph, functional

    path = Path(name).expanduser()
    if not path.is_file():
        raise BadWeights(f"The backbone {path.absolute()} does not exist.")
    own = own_classes(path)
    if own:
        raise BadConfiguration(
            f"{path} has classes of its own ({', '.join(own)}), and a file does not hold their "
            "code. A backbone is built from layers and operations of Keras, as a functional or "
            "Sequential model."
        )
    model = load_keras(path)
    if functional(model) is None:
        raise BadConfiguration(
            f"{path} holds a {type(model).__name__} model without a known input. A backbone is a "
            "functional model, or a Sequential one that begins with keras.Input."
        )
    if len(model.inputs) != 1:
        names = ", ".join(tensor.name for tensor in model.inputs)
        raise BadConfiguration(f"{path} has {len(model.inputs)} inputs ({names}); one is needed.")
    return KerasFile(path, _checked_shape(path, tuple(model.inputs[0].shape)), FlatGraph(model))


def _checked_shape(path: Path, shape: tuple[int | None, ...]) -> int | None:
    """Side of the square that an input takes; None for any."""
    wanted = "A backbone takes square RGB images: (batch, size, size, 3), or (batch, None, None, 3)"
    if len(shape) != 4 or shape[-1] != 3:
        raise BadConfiguration(f"The input of {path} has the shape {shape}. {wanted}.")
    height, width = shape[1:3]
    if height != width and None not in (height, width):
        raise BadConfiguration(f"{path} takes images of {height} x {width} pixels. {wanted}.")
    return height or width


@dataclass(frozen=True, eq=False)
class KerasFile:
    """A network of a file.

    Attributes:
        path: Of the file.
        size: Side of the images in pixels; None if it takes any.
        graph: Its calls, the head's too.
    """

    path: Path
    size: int | None
    graph: FlatGraph

    @cached_property
    def start(self) -> list[str]:
        """Classes of the first operations, up to the first that was trained."""
        kinds = []
        for call in self.graph.calls:
            kinds.append(call.kind)
            if getattr(call.operation, "weights", ()) and call.kind not in SCALING:
                break
        return kinds

    @property
    def scales(self) -> bool:
        """Whether the network itself maps pixels to what it was trained on."""
        return any(kind in SCALING for kind in self.start)

    def backbone(
        self,
        features: str | None = None,
        *,
        image_size: int | None = None,
        pretrained: bool = True,
    ) -> keras.Model:
        """Build the network without its head, networks inside of it unfolded.

        Dropout, noise and augmentation of the file are left out: it answers in training as it
        does in ``predict``.

        Args:
            features: Layer whose output is the map of features; found if None.
            image_size: Side of the images in pixels; the file's own if None.
            pretrained: Whether it has the weights of the file; random ones if not.

        Returns:
            A functional model called "backbone", from (batch, size, size, 3) float32 to a map
            (batch, height, width, channels).

        Raises:
            UnknownName: There is no such layer.
            BadConfiguration: It takes another size, or the layer gives no map.
        """
        size = self._checked_size(image_size)
        tensor = self.features.made[0] if features is None else self._named(features)
        try:
            backbone = self.graph.rebuilt(tensor, size, pretrained)
        except (TypeError, ValueError) as error:
            said = " ".join(str(error).split())
            raise BadConfiguration(
                f"{self.path} cannot be built for images of {size} x {size} pixels: {said:.500}"
            ) from None
        if len(backbone.output_shape) != 4:
            raise BadConfiguration(
                f"backbone.features = {features}: its output has the shape "
                f"{backbone.output_shape}, and features are a map (batch, height, width, "
                f"channels). Name an earlier layer; {self.path} has {self._maps()}."
            )
        return backbone

    def _checked_size(self, asked: int | None) -> int:
        size = asked or self.size
        if size is None:
            raise BadConfiguration(
                f"{self.path} takes images of any size. State the one that it was trained on: "
                "image_size = 224, for example."
            )
        if self.size not in (None, size):
            raise BadConfiguration(
                f"{self.path} takes images of {self.size} x {self.size} pixels, and image_size = "
                f"{size}. Use image_size = {self.size}, or build the network with "
                "keras.Input((None, None, 3)) and save it again."
            )
        return size

    def _named(self, layer: str) -> int:
        if layer not in self.graph.ends:
            raise UnknownName(f"layer of {self.path}", layer, self.graph.ends).within(
                "backbone.features"
            )
        return self.graph.ends[layer]

    @cached_property
    def features(self) -> Call:
        """The last map (batch, height, width, channels) before pooling, flattening and Dense.

        Raises:
            BadConfiguration: There is none.
        """
        found = None
        for call in self.graph.narrow():
            rank = len(call.shape)
            if call.kind in HEADS or rank < 3:
                break
            if rank != 4:
                raise BadConfiguration(
                    f"{self.path} goes on with sequences of shape {call.shape} ({call.name!r}), so "
                    "its features are not found. Name a layer that gives a map: "
                    f"backbone.features = LAYER, one of {self._maps()}."
                )
            found = call
        if found is None:
            raise BadConfiguration(
                f"{self.path} has no layer that gives a map of features (batch, height, width, "
                "channels) to all that follows, so it cannot be a backbone. If there is one, "
                "name it: backbone.features = LAYER."
            )
        return found

    def _maps(self) -> str:
        names = [call.name for call in self.graph.calls if len(call.shape) == 4]
        return ", ".join(names[-10:]) or "none"
