"""The groups of settings that recipes are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.group import Count, Decay, Group, NonNegative, Portion, Positive, Share, row_of
from keras_transfer.training.optimizers import OPTIMIZERS, SCHEDULES, WARMING

__all__ = [
    "Augment",
    "Ensemble",
    "Head",
    "Rate",
    "Split",
    "Stage",
    "Views",
]

Views = Literal["auto", "clean", "fresh"] | Count
Shift = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0)]


def _rate(value: Any) -> Any:
    """Refuse words but auto, by name."""
    if isinstance(value, str) and value != "auto":
        try:
            float(value)
        except ValueError:
            raise UnknownName("value of lr", value, ["auto"]) from None
    return value


Rate = Annotated[Positive | Literal["auto"] | None, BeforeValidator(_rate)]


MOST_MEMBERS = 100


def _ensemble(text: str) -> str:
    name, colon, count = text.partition(":")
    if name == "bagging":
        if not re.fullmatch("[0-9]{1,3}", count) or not 2 <= int(count) <= MOST_MEMBERS:
            raise BadConfiguration(
                f"ensemble = {text!r}: bagging is followed by how many heads, 2 to "
                f"{MOST_MEMBERS}, such as bagging:10."
            )
    elif colon or name not in ("none", "boosting"):
        raise UnknownName("ensemble", text, ("none", "bagging:10", "boosting"))
    return text


Ensemble = Annotated[str, AfterValidator(_ensemble)]
"""none, bagging:K or boosting."""


class Head(Group):
    """What is put on the backbone: pooling, hidden layers, and the layer of logits."""

    pooling: Literal["avg", "max", "avgmax", "flatten"] = Field(
        "avg", description="how the last feature map becomes a vector"
    )
    units: tuple[Count, ...] = Field((), description="widths of the hidden layers")
    activation: str = Field("relu", description="Keras activation of the hidden layers")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share dropped after each hidden layer, or after pooling"
    )
    batch_norm: bool = Field(False, description="normalise each hidden layer over the batch")
    l1: NonNegative = Field(0.0, description="L1 penalty on the head's kernels")
    l2: NonNegative = Field(0.0, description="L2 penalty on the head's kernels")

    @model_validator(mode="after")
    def _something_to_normalise(self) -> Head:
        if self.batch_norm and not self.units:
            raise ValueError("batch_norm normalises hidden layers, and there are none; see units")
        return self


class Augment(Group):
    """Random changes to the images of the train split: ImageDataGenerator's words, and newer."""

    rotation_range: NonNegative = Field(0.0, description="degrees to either side")
    width_shift_range: Shift = Field(0.0, description="share of the width; pixels from 1 up")
    height_shift_range: Shift = Field(0.0, description="share of the height; pixels from 1 up")
    brightness_range: tuple[NonNegative, NonNegative] | None = Field(
        None, description="factors, from and to"
    )
    shear_range: NonNegative = Field(0.0, description="degrees to either side")
    zoom_range: Share | Literal[0] | tuple[Positive, Positive] = Field(
        0, description="z for 1-z to 1+z, or from and to"
    )
    channel_shift_range: NonNegative = Field(0.0, description="pixel values to either side")
    fill_mode: Literal["nearest", "constant", "reflect", "wrap"] = Field(
        "nearest", description="what lies outside the image"
    )
    cval: Annotated[float, Field(ge=0, le=255)] = Field(
        0.0, description="value outside, for fill_mode constant"
    )
    horizontal_flip: bool = Field(False, description="mirror half of the images")
    vertical_flip: bool = Field(False, description="turn half of the images upside down")
    color_jitter: Portion = Field(0.0, description="brightness, contrast, saturation, up to this")
    randaugment: Portion = Field(0.0, description="magnitude of two operations an image; 0: none")
    augmix: Portion = Field(0.0, description="magnitude in AugMix's three chains; 0: none")
    random_erasing: Portion = Field(0.0, description="share of the images that lose a rectangle")

    @model_validator(mode="after")
    def _one_policy(self) -> Augment:
        if self.randaugment and self.augmix:
            raise ValueError("randaugment and augmix draw from the same operations; choose one")
        return self


class Split(Group):
    """How images that come without parts are divided; shares, or counts of images."""

    val: Share | Count = Field(0.15, description="for choosing the best epoch")
    test: Share | Count = Field(0.15, description="for the metrics, looked at once")
    train: Share | Count | None = Field(
        None, description="class-balanced subset of what is left; all of it by default"
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="of limit, val and test; the recipe's own if none. train has the recipe's"
    )


class Stage(Group):
    """One compile and fit: what is trained, for how long, how fast."""

    name: str = Field("head", pattern=r"^[\w.-]+$", description="names the stage in tables")
    epochs: Count = Field(10, description="passes over the train split, at most")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="at the start")
    unfreeze: Annotated[float, Field(gt=0, le=1)] | str | None = Field(
        None, description="backbone from this block or layer on; or its last share; or 'all'"
    )
    optimizer: Annotated[str, row_of(OPTIMIZERS)] = Field(
        "adam", description=" | ".join(OPTIMIZERS)
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of sgd")
    weight_decay: NonNegative | None = Field(
        None, description="decoupled, on kernels only; None: 0.004 for adamw and muon, else none"
    )
    schedule: Annotated[str, row_of(SCHEDULES)] = Field(
        "constant", description=" | ".join(SCHEDULES)
    )
    warmup_epochs: NonNegative = Field(0.0, description="from rate 0; before " + ", ".join(WARMING))
    decay: Decay = Field(
        0.1, description="factor of exponential (at the end), step, staircase, plateau"
    )
    layer_decay: Decay = Field(
        1.0, description="factor of the rate from each block of the backbone to the one before it"
    )
    clipnorm: Positive | None = Field(None, description="largest norm of all gradients together")
    clipvalue: Positive | None = Field(None, description="largest value in a gradient")
    accumulate: Count = Field(1, description="batches whose mean gradient makes one update")
    ema: Share | None = Field(
        None, description="momentum, such as 0.99: train, judge and keep a moving average"
    )
    soup: Annotated[int, Field(ge=2)] | None = Field(
        None, description="average so many best epochs, as far as val gets better by that"
    )
    carry: bool = Field(False, description="go on with the optimizer's state of the stage before")
    l2_sp: NonNegative = Field(0.0, description="pull of tuned kernels to the pretrained ones")
    l2_sp_head: NonNegative = Field(
        0.0, description="pull of the head's kernels to 0, beside l2_sp"
    )
    views: Views = Field(
        "auto", description="auto, clean, fresh, or so many: augmentations a frozen part sees"
    )
    patience: Annotated[int, Field(ge=0)] | None = Field(
        None, description="epochs without a better model before the stage ends; None: never"
    )

    def __init__(self, name: str = "head", **settings: Any):
        super().__init__(**{"name": name, **settings})

    @model_validator(mode="after")
    def _sensible(self) -> Stage:
        if self.warmup_epochs and self.schedule not in WARMING:
            raise ValueError(
                f"warmup_epochs goes with the schedules {', '.join(WARMING)}, not {self.schedule}"
            )
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs = {self.warmup_epochs:g} in {self.epochs} epochs: the stage would "
                "end before its rate is reached"
            )
        if self.l2_sp and self.unfreeze in (None, "none"):
            raise ValueError("l2_sp pulls tuned blocks, and this stage tunes none; see unfreeze")
        if self.carry and self.optimizer == "nadam":
            raise ValueError("nadam has one count of steps for all blocks; carry with adam instead")
        if self.layer_decay < 1 and self.optimizer == "ftrl":
            raise ValueError("ftrl works weights out anew from sums, so no block can learn slower")
        if self.optimizer == "ftrl" and self.warmup_epochs and self.schedule != "one_cycle":
            raise ValueError("ftrl divides by the rate, and warmup_epochs begins at rate 0")
        if self.clipnorm and self.clipvalue:
            raise ValueError("clipnorm and clipvalue both bound the gradients; choose one")
        return self
