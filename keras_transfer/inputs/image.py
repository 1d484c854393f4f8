"""Images: size, resizing and augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from keras_transfer.group import Count, Group, NonNegative, Portion, Positive, Share
from keras_transfer.inputs.base import Input

if TYPE_CHECKING:
    from keras_transfer.data.samples import CheckResult, Samples
    from keras_transfer.inputs.images.bound import BoundImage

__all__ = ["Augment", "Image"]

Shift = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0)]


class Augment(Group):
    """Random changes to training images: ImageDataGenerator's arguments and newer methods."""

    section: ClassVar[str] = "Augmentation"

    rotation_range: NonNegative = Field(0.0, description="random rotation, degrees to either side")
    width_shift_range: Shift = Field(
        0.0, description="horizontal shift: share of the width below 1, else pixels"
    )
    height_shift_range: Shift = Field(
        0.0, description="vertical shift: share of the height below 1, else pixels"
    )
    brightness_range: tuple[NonNegative, NonNegative] | None = Field(
        None, description="range of brightness factors, e.g. [0.8, 1.2]"
    )
    shear_range: NonNegative = Field(0.0, description="random shear, degrees to either side")
    zoom_range: Share | Literal[0] | tuple[Positive, Positive] = Field(
        0, description="zoom: z for 1-z to 1+z, or [from, to]"
    )
    channel_shift_range: NonNegative = Field(
        0.0, description="shift of channel values, 0 to 255, to either side"
    )
    fill_mode: Literal["nearest", "constant", "reflect", "wrap"] = Field(
        "nearest", description="how to fill points outside the image"
    )
    cval: Annotated[float, Field(ge=0, le=255)] = Field(
        0.0, description="fill value for fill_mode constant"
    )
    horizontal_flip: bool = Field(False, description="flip half of the images left to right")
    vertical_flip: bool = Field(False, description="flip half of the images upside down")
    color_jitter: Portion = Field(
        0.0, description="random brightness, contrast and saturation, up to this share"
    )
    randaugment: Portion = Field(0.0, description="RandAugment magnitude; 0 disables it")
    augmix: Portion = Field(0.0, description="AugMix magnitude; 0 disables it")
    random_erasing: Portion = Field(0.0, description="share of images with an erased rectangle")

    @model_validator(mode="after")
    def _one_policy(self) -> Augment:
        if self.randaugment and self.augmix:
            raise ValueError("randaugment and augmix draw from the same operations; choose one")
        return self


class Image(Input):
    """Encoded images or pixel arrays."""

    section: ClassVar[str] = "Network"

    type: Literal["image"] = "image"

    image_size: Count | None = Field(
        None, description="side of the square input in pixels; None: the backbone's own"
    )
    resize: Literal["stretch", "crop", "pad"] = Field(
        "stretch", description="how to resize to a square"
    )
    augment: Augment = Field(Augment(), description="random changes to training images")

    def bind(self, state: Any, size: int) -> BoundImage:
        """Prepare images of one size: the side of the square that the network takes, in pixels."""
        from keras_transfer.inputs.images.bound import BoundImage

        return BoundImage(size, self.resize, self.augment.model_dump(mode="json"))

    def judge(self, raw: bytes, name: str = "") -> CheckResult:
        """Digest the bytes of an image, and check them."""
        from keras_transfer.inputs.images import image_checks

        return image_checks.check(raw, name)

    @staticmethod
    def shapes(samples: Samples) -> list[tuple[int, ...]]:
        """(height, width, 3) of some images, before they are resized."""
        from keras_transfer.inputs.images.decode import shape

        return [shape(samples.store.read(row)) for row in samples.rows]
