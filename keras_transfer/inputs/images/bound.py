"""Images of one size for one network: decoding, resizing, augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.atomic import write_json
from keras_transfer.data.batches import Tensors
from keras_transfer.data.samples import CheckResult
from keras_transfer.inputs.images import decode, image_checks
from keras_transfer.inputs.images.policies import Augmentation

__all__ = ["FORMAT", "IMAGE_BYTES", "PIXELS", "BoundImage"]

PIXELS = "pixels"
"""Name of the network's input."""

IMAGE_BYTES = "image_bytes"
"""Name of the input of a served request."""

FORMAT = 1
"""Part of every key of stored features; increase it when decoding, resizing or augmentation
change their results."""


class BoundImage:
    """Turns raw images into the input of a network.

    Args:
        size: Side of the square, in pixels.
        resize: A row of ``decode.RESIZE``.
        augment: Settings of ``Augmentation``.

    Attributes:
        raw: Name and dtype of the input of a served request.
    """

    raw: Mapping[str, str] = {IMAGE_BYTES: "string"}

    def __init__(
        self, size: int, resize: str = "stretch", augment: Mapping[str, Any] | None = None
    ):
        self.size, self.resize = size, resize
        self.augment_settings = dict(augment or {})
        self._augmentation = Augmentation(**self.augment_settings)

    @property
    def spec(self) -> dict[str, tf.TensorSpec]:
        """Output of ``prepare``."""
        return {PIXELS: tf.TensorSpec((self.size, self.size, 3), tf.uint8)}

    @property
    def metadata(self) -> dict[str, Any]:
        """What prepared inputs depend on, JSON-ready."""
        return {"type": "image", "format": FORMAT, "image_size": self.size, "resize": self.resize}

    @property
    def augments(self) -> bool:
        """Whether ``augment`` changes anything."""
        return not self._augmentation.changes_nothing

    def prepare(self, raw: tf.Tensor) -> Tensors:
        """Decode and resize an image.

        Args:
            raw: Scalar string, an encoded image; or (height, width, 3) uint8 RGB pixels.

        Returns:
            {"pixels": (size, size, 3) uint8 RGB}.
        """
        if raw.dtype == tf.string:
            raw = decode.image(raw, self.size, self.resize)
        return {PIXELS: decode.resize(raw, self.size, self.resize)}

    batched = False
    groups = False

    def load(self, raw: tf.Tensor) -> Tensors:
        """Prepare an image; see ``prepare``. Reads TIFF too, which needs Python."""
        return self.prepare(decode.readable(raw) if raw.dtype == tf.string else raw)

    def collate(self, batch: Mapping[str, tf.Tensor]) -> Tensors:
        """{"pixels": (batch, size, size, 3)}, uint8 to float32, 0..255."""
        return {PIXELS: tf.cast(batch[PIXELS], tf.float32)}

    def augment(self, batch: Mapping[str, tf.Tensor], seeds: tf.Tensor) -> Tensors:
        """Augment images.

        Args:
            batch: {"pixels": (batch, size, size, 3) float32, 0..255}.
            seeds: (batch, 2) int32; equal seeds change equal images equally.
        """
        return {PIXELS: self._augmentation(batch[PIXELS], seeds)}

    def check(self, raw: bytes, name: str = "") -> CheckResult:
        """Digest the bytes of an image, and check them."""
        return image_checks.check(raw, name)

    def example(self) -> dict[str, bytes]:
        """A JPEG file of noise, of the network's own size."""
        noise = np.random.default_rng(0).integers(0, 256, (self.size, self.size, 3), "uint8")
        return {IMAGE_BYTES: tf.io.encode_jpeg(noise).numpy()}

    def write_assets(self, folder: Path) -> list[Path]:
        """Write ``preprocessing.json``."""
        file = folder / "preprocessing.json"
        content = {
            "decoded": "RGB, EXIF orientation of a JPEG applied",
            "image_size": self.size,
            "resize": self.resize,
            "range": [0, 255],
            "normalising": "in the graph",
        }
        write_json(file, content)
        return [file]
