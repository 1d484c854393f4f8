"""ImageDataGenerator's augmentation for tf.data: the same words, the same images, faster.

Random numbers come from one seed an image, so that an image's transform depends neither on
the batch it lies in nor on the order of the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import tensorflow as tf

from keras_transfer.errors import BadConfiguration
from keras_transfer.inputs.images.transform import AFFINE, FILL_MODES, apply_transform

__all__ = ["Augmenter"]

# One random number each, always at the same index: a range that is changed or left out
# leaves the draws of all the others as they were.
_NUMBERS = (
    *("theta", "tx", "tx_sign", "ty", "ty_sign", "shear", "zx", "zy"),
    *("flip_horizontal", "flip_vertical", "channel_shift_intensity", "brightness"),
)

Shift = float | int | Sequence[float]


@dataclass(frozen=True)
class Augmenter:
    """Change images at random, as ImageDataGenerator does: ``augmenter(pixels, seeds)``.

    For the same parameters the result is that of ``ImageDataGenerator.apply_transform``: SciPy's
    interpolation and edges, Pillow's brightness, and its centre of rotation for images that
    are not square (height / 2, width / 2 in x, y). What is not asked for is not done: an image
    that is only mirrored keeps its values exactly.

    Shifts mean what their names say: ``width_shift_range`` moves images sideways. In
    ImageDataGenerator the two have been exchanged since Keras-Preprocessing 1.1.1
    (keras#17398), which shows where they differ or images are not square.

    Args:
        rotation_range: Largest angle in degrees, either way.
        width_shift_range: Largest shift sideways, either way: a float below 1 is a share of the
            width, another float is pixels, an int n stands for the whole pixels below n, a
            sequence for its members (shares if all are below 1).
        height_shift_range: Largest shift up or down, likewise.
        shear_range: Largest angle of shear in degrees, either way.
        zoom_range: (least, largest) share of the image that is seen, drawn apart for width
            and height; a number z stands for (1 - z, 1 + z). Below 1 enlarges.
        brightness_range: (least, largest) factor on the pixels, which become whole numbers, as
            in Pillow; None leaves them alone.
        channel_shift_range: Largest number added to all pixels of an image, either way; they
            stay between the image's own least and largest.
        horizontal_flip: Exchange left and right in half of the cases.
        vertical_flip: Exchange top and bottom in half of the cases.
        fill_mode: Fill mode outside the image: "constant", "nearest", "reflect" or "wrap".
        cval: What "constant" puts there, 0..255.

    Raises:
        UnknownName: There is no such fill mode.
        BadConfiguration: A range is negative, empty, or would make images vanish.
    """

    rotation_range: float = 0.0
    width_shift_range: Shift = 0.0
    height_shift_range: Shift = 0.0
    shear_range: float = 0.0
    zoom_range: float | Sequence[float] = 0.0
    brightness_range: Sequence[float] | None = None
    channel_shift_range: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    fill_mode: str = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        FILL_MODES[self.fill_mode]
        zoom, bright = self._zoom(), self.brightness_range
        rules = {
            "rotation_range": (self.rotation_range >= 0, "at least 0"),
            "width_shift_range": (_is_shift(self.width_shift_range), "at least 0, or a sequence"),
            "height_shift_range": (_is_shift(self.height_shift_range), "at least 0, or a sequence"),
            "shear_range": (self.shear_range >= 0, "at least 0"),
            "zoom_range": (len(zoom) == 2 and min(zoom) > 0, "0 <= z < 1, or two numbers above 0"),
            "brightness_range": (
                bright is None or (len(bright) == 2 and min(bright) >= 0),
                "two numbers of at least 0",
            ),
            "channel_shift_range": (self.channel_shift_range >= 0, "at least 0"),
            "cval": (0 <= self.cval <= 255, "a pixel value, 0..255"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise BadConfiguration(f"{name} should be {rule}; found {getattr(self, name)!r}.")

    def __call__(self, pixels: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Draw a transform for each image and apply it.

        Args:
            pixels: (batch, height, width, 3), any real type, 0..255.
            seeds: (batch, 2) int32, one seed an image: the same seed draws the same.

        Returns:
            (batch, height, width, 3) float32, 0..255.
        """
        shape = tf.shape(pixels)
        transform = self.draw(seeds, shape[1], shape[2])
        if not transform or tf.executing_eagerly() or not _compiles():
            return self.apply(pixels, transform)
        compiled = tf.function(self.apply, jit_compile=True, autograph=False)
        return tf.ensure_shape(compiled(pixels, transform), pixels.shape)

    def draw(
        self, seeds: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Draw the parameters of one transform an image.

        Args:
            seeds: (batch, 2) int32, one seed an image.
            height: Height of the images in pixels.
            width: Width of the images in pixels.

        Returns:
            Those of ImageDataGenerator's parameters that were asked for, (batch,) each:
            ``theta`` and ``shear`` in degrees, ``tx`` and ``ty`` in pixels to the left and up,
            ``zx``, ``zy``, ``channel_shift_intensity`` and ``brightness`` (all float32),
            ``flip_horizontal`` and ``flip_vertical`` (bool).
        """
        number = dict(zip(_NUMBERS, tf.unstack(_uniform(seeds), axis=1), strict=True))
        spans = self._spans().items()
        drawn = {name: low + (high - low) * number[name] for name, (low, high) in spans}
        shifts = {"tx": (self.width_shift_range, width), "ty": (self.height_shift_range, height)}
        for name, (ranges, size) in shifts.items():
            if ranges:
                drawn[name] = _shift(ranges, size, number[name], number[f"{name}_sign"])
        flips = {"flip_horizontal": self.horizontal_flip, "flip_vertical": self.vertical_flip}
        return drawn | {name: number[name] < 0.5 for name, ranges in flips.items() if ranges}

    def apply(self, pixels: tf.Tensor, transform: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Apply one transform to each image; missing parameters change nothing.

        Args:
            pixels: (batch, height, width, 3), any real type, 0..255.
            transform: Parameters as :meth:`draw` returns them, (batch,) each.

        Returns:
            (batch, height, width, 3) float32, 0..255.
        """
        return apply_transform(pixels, transform, self.fill_mode, self.cval)

    def _zoom(self) -> tuple[float, ...]:
        zoom = self.zoom_range
        return (1 - zoom, 1 + zoom) if isinstance(zoom, (int, float)) else tuple(zoom)

    def _spans(self) -> dict[str, Sequence[float]]:
        """(low, high) of each parameter with a uniform distribution."""
        spans: dict[str, Sequence[float]] = {
            "theta": (-self.rotation_range, self.rotation_range),
            "shear": (-self.shear_range, self.shear_range),
            "zx": self._zoom(),
            "zy": self._zoom(),
            "channel_shift_intensity": (-self.channel_shift_range, self.channel_shift_range),
        }
        ranges = {name: span for name, span in spans.items() if set(span) != {AFFINE.get(name, 0)}}
        if self.brightness_range is not None:
            ranges["brightness"] = self.brightness_range
        return ranges


def _is_shift(value: Shift) -> bool:
    return value >= 0 if isinstance(value, (int, float)) else len(value) > 0


@cache
def _compiles() -> bool:
    """Whether XLA compiles for this CPU inside tf.data, which not every build can.

    Compiled, the batch is read once instead of once for each operation.
    """
    with tf.init_scope():
        double = tf.function(lambda number: 2 * number, jit_compile=True)
        try:
            return list(tf.data.Dataset.range(2).map(double).as_numpy_iterator()) == [0, 2]
        except tf.errors.OpError:
            return False


# A graph: without one, the loop over the seeds takes a hundred times as long.
@tf.function(input_signature=[tf.TensorSpec([None, 2], tf.int32)])
def _uniform(seeds: tf.Tensor) -> tf.Tensor:
    """(batch, numbers) float32 in [0, 1), each row from its own seed."""
    size = [len(_NUMBERS)]
    return tf.map_fn(
        # "philox" on every device: left to itself, TensorFlow takes another one on TPUs.
        lambda seed: tf.random.stateless_uniform(size, seed, alg="philox"),
        seeds,
        fn_output_signature=tf.TensorSpec(size, tf.float32),
    )


def _shift(value: Shift, size: int | tf.Tensor, number: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
    """(batch,) float32 pixels: within a float's range or a member of a sequence, either way."""
    if isinstance(value, float):
        shift, largest = value * (2 * number - 1), value
    else:
        members = range(value) if isinstance(value, int) else value
        index = tf.cast(number * len(members), tf.int32)
        picked = tf.gather(tf.constant(members, tf.float32), index)
        shift, largest = tf.where(sign < 0.5, -picked, picked), max(members)
    return shift * tf.cast(size, tf.float32) if largest < 1 else shift
