"""The small groups of knobs that kinds of recipes are made of, and what every knob model shares."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from keras_transfer.training.optimizers import OPTIMIZERS, SCHEDULES

__all__ = ["Augment", "ClassName", "Count", "Group", "Head", "Split", "Stage", "Views", "row_of"]

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(gt=0)]
Symmetric = Annotated[float, Field(ge=0)]
Zoom = Annotated[float, Field(gt=0)]
Views = Literal["auto", "clean", "fresh"] | Count
Shift = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0)]


def _class_name(value: Any) -> Any:
    """Take 5 for "5", as YAML reads the name of a class; refuse yes and no, whose text is lost."""
    if isinstance(value, bool):
        raise ValueError("should be the name of a class; put yes, no, true and false in quotes")
    return str(value) if isinstance(value, int | float) else value


ClassName = Annotated[str, BeforeValidator(_class_name)]


def row_of(table: Any) -> AfterValidator:
    """Accept the names of a table's rows; a wrong one raises UnknownName with a near miss."""

    def check(name: str) -> str:
        table[name]
        return name

    return AfterValidator(check)


class Group(BaseModel):
    """A frozen set of knobs that rejects those it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    l1: Symmetric = Field(0.0, description="L1 penalty on the head's kernels")
    l2: Symmetric = Field(0.0, description="L2 penalty on the head's kernels")


class Augment(Group):
    """ImageDataGenerator's random changes to the pictures of the train part, in its words."""

    rotation_range: Symmetric = Field(0.0, description="degrees to either side")
    width_shift_range: Shift = Field(0.0, description="share of the width; pixels from 1 up")
    height_shift_range: Shift = Field(0.0, description="share of the height; pixels from 1 up")
    brightness_range: tuple[Symmetric, Symmetric] | None = Field(
        None, description="factors, from and to"
    )
    shear_range: Symmetric = Field(0.0, description="degrees to either side")
    zoom_range: Share | Literal[0] | tuple[Zoom, Zoom] = Field(
        0, description="z for 1-z to 1+z, or from and to"
    )
    channel_shift_range: Symmetric = Field(0.0, description="pixel values to either side")
    fill_mode: Literal["nearest", "constant", "reflect", "wrap"] = Field(
        "nearest", description="what lies outside the picture"
    )
    cval: Annotated[float, Field(ge=0, le=255)] = Field(
        0.0, description="value outside, for fill_mode constant"
    )
    horizontal_flip: bool = Field(False, description="mirror half of the pictures")
    vertical_flip: bool = Field(False, description="turn half of the pictures upside down")


class Split(Group):
    """How pictures that come without parts are divided; shares, or counts of pictures."""

    val: Share | Count = Field(0.15, description="for choosing the best epoch")
    test: Share | Count = Field(0.15, description="for the figures, looked at once")
    train: Share | Count | None = Field(
        None, description="class-balanced subset of what is left; all of it by default"
    )


class Stage(Group):
    """One compile and fit: what is trained, for how long, how fast."""

    name: str = Field("head", pattern=r"^[\w.-]+$", description="names the stage in tables")
    epochs: Count = Field(10, description="passes over the train part, at most")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="at the start")
    unfreeze: Annotated[float, Field(gt=0, le=1)] | str | None = Field(
        None, description="backbone from this block or layer on; or its last share; or 'all'"
    )
    optimizer: Annotated[str, row_of(OPTIMIZERS)] = Field(
        "adam", description=" | ".join(OPTIMIZERS)
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of sgd")
    weight_decay: Symmetric | None = Field(
        None, description="decoupled, on kernels only; None: 0.004 for adamw, none for others"
    )
    schedule: Annotated[str, row_of(SCHEDULES)] = Field(
        "constant", description=" | ".join(SCHEDULES)
    )
    warmup_epochs: Symmetric = Field(0.0, description="of a cosine schedule, from rate 0")
    decay: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="factor of exponential (at the end), step and plateau schedules"
    )
    views: Views = Field(
        "auto", description="auto, clean, fresh, or so many: augmentations a frozen part sees"
    )
    patience: Annotated[int, Field(ge=0)] | None = Field(
        None, description="epochs without a better model before the stage ends; None: never"
    )

    def __init__(self, name: str = "head", **knobs: Any):
        super().__init__(**{"name": name, **knobs})
