"""The settings of a stage: one compile and fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from keras_transfer.config.rule import broken
from keras_transfer.config.stage_rules import STAGE_RULES
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.group import Count, Decay, Group, NonNegative, Positive, Share, row_of
from keras_transfer.tables import Table
from keras_transfer.training.optimizers import OPTIMIZERS, SCHEDULES, WARMING

__all__ = ["Average", "Optimizer", "Rate", "Stage", "StageSchedule", "Tuning", "Views"]

Views = Literal["auto", "clean", "fresh"] | Count

STAGE_SCHEDULES: Table[object] = Table("schedule", {**SCHEDULES, "bit": None})
"""Schedules of a rate, and BiT-HyperRule, which sets more than the rate."""

StageSchedule = Annotated[str, row_of(STAGE_SCHEDULES)]


def _rate(value: Any) -> Any:
    """Refuse words other than auto."""
    # Before pydantic: its union error would list two failures, for float and for the literal.
    if isinstance(value, str) and value != "auto":
        try:
            float(value)
        except ValueError:
            raise UnknownName("value of lr", value, ["auto"]) from None
    return value


# YAML reads 1e-4 as text, so texts that are numbers pass.
Rate = Annotated[Positive | Literal["auto"], BeforeValidator(_rate)]


class Optimizer(Group):
    """An optimizer of Keras, or a solver. ``Optimizer("sgd")`` is ``Optimizer(name="sgd")``."""

    primary: ClassVar[str] = "name"

    name: Annotated[str, row_of(OPTIMIZERS)] = Field("adam", description=" | ".join(OPTIMIZERS))
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="momentum of sgd")
    weight_decay: NonNegative | None = Field(
        None,
        description="decoupled weight decay on kernels; None: 0.004 for adamw and muon, else none",
    )
    # Keras's global_clipnorm: its own `clipnorm` clips each variable, which turns the direction.
    clipnorm: Positive | None = Field(None, description="largest norm of all gradients together")
    clipvalue: Positive | None = Field(None, description="largest absolute value in a gradient")
    accumulate: Count = Field(1, description="batches whose mean gradient makes one update")
    solver: Literal["logistic", "auto"] | None = Field(
        None,
        description="logistic: solve the linear head to convergence instead of training it; auto: "
        "where that is possible",
    )


class Average(Group):
    """Averages of weights over updates or epochs."""

    ema: Share | None = Field(
        None, description="momentum of a moving average of the weights, e.g. 0.99"
    )
    soup: Annotated[int, Field(ge=2)] | None = Field(
        None, description="greedy soup of up to N best epochs"
    )


class Tuning(Group):
    """How the unfrozen layers of the backbone train."""

    trainable: Literal["all", "bias", "norm"] = Field(
        "all", description="which of their weights train: all | bias | norm"
    )
    lora: Count | None = Field(
        None, description="rank of LoRA matrices that train instead of their weights"
    )
    lora_alpha: Positive | None = Field(
        None, description="LoRA adds lora_alpha / lora times the product; None: as lora"
    )
    l2_sp: NonNegative = Field(0.0, description="L2-SP: penalty towards the pretrained weights")
    l2_sp_head: NonNegative = Field(0.0, description="L2 penalty on the head, used with l2_sp")

    @property
    def weights(self) -> Literal["all", "bias", "norm", "lora"]:
        """What trains, as ``networks.freezing.freeze`` names it."""
        return self.trainable if self.lora is None else "lora"


class Stage(Group):
    """One compile and fit: trainable layers, epochs, learning rate and optimizer.

    Settings of ``optimizer``, ``average`` and ``tuning`` may be given directly:
    ``Stage("head", ema=0.99)``. ``unfreeze="bias"`` or ``"norm"`` is ``unfreeze="all"`` with that
    ``trainable``; ``trainable`` or ``lora`` without ``unfreeze`` opens all layers.
    """

    primary: ClassVar[str] = "name"
    lifted: ClassVar[tuple[str, ...]] = ("optimizer", "average", "tuning")

    # The name becomes part of file names and of columns in tables.
    name: str = Field("head", pattern=r"^[\w.-]+$", description="name in logs and tables")
    epochs: Count = Field(10, description="number of epochs, at most")
    learning_rate: Rate = Field(
        1e-3, description="learning rate at the start; auto (first stage only): find it by a sweep"
    )
    unfreeze: Annotated[float, Field(gt=0, le=1)] | str | None = Field(
        None,
        description="first block or layer of the backbone that trains; a share; all; bias; norm",
    )
    tuning: Tuning = Field(Tuning(), description="how the unfrozen layers train")
    optimizer: Optimizer = Field(Optimizer(), description="optimizer")
    schedule: StageSchedule = Field("constant", description=" | ".join(STAGE_SCHEDULES))
    warmup_epochs: NonNegative = Field(
        0.0, description="linear warm-up from rate 0; for " + ", ".join(WARMING)
    )
    decay: Decay = Field(
        0.1, description="factor of exponential (at the end), step, staircase and plateau"
    )
    layer_decay: Decay = Field(
        1.0, description="factor of the rate from each block to the block before it"
    )
    average: Average = Field(Average(), description="averages of weights")
    carry: bool = Field(False, description="start from the optimizer state of the previous stage")
    views: Views = Field(
        "auto", description="augmented views kept per image: auto, clean, fresh or a number"
    )
    patience: Annotated[int, Field(ge=0)] | None = Field(
        None, description="stop after N epochs without improvement; None: never"
    )

    # Spelled out for editors and type checkers, which do not know Group's positional argument.
    def __init__(self, name: str = "head", **settings: Any):
        super().__init__(**{"name": name, **settings})

    @model_validator(mode="before")
    @classmethod
    def _opened(cls, given: Any) -> Any:
        """Say where the layers begin that ``unfreeze="bias"`` and ``lora`` alone open."""
        if not isinstance(given, Mapping):
            return given
        settings = cls.nest(given)
        tuning, where = settings.get("tuning", {}), settings.get("unfreeze")
        tuning = tuning.model_dump() if isinstance(tuning, Tuning) else tuning
        # Not validated here: pydantic does it afterwards, and names the setting in its error.
        if not isinstance(tuning, Mapping):
            return settings
        if where in ("bias", "norm"):
            if given.get("trainable", "all") not in ("all", where):
                raise ValueError(
                    f"unfreeze = {where} excludes trainable = {given['trainable']}; leave one of "
                    "them out"
                )
            return {**settings, "unfreeze": "all", "tuning": {**tuning, "trainable": where}}
        partial = tuning.get("lora") is not None or tuning.get("trainable", "all") != "all"
        return {**settings, "unfreeze": "all"} if where is None and partial else settings

    @model_validator(mode="after")
    def _allowed(self) -> Stage:
        reason = broken(STAGE_RULES, self)
        if reason:
            raise ValueError(reason)
        return self

    @property
    def frozen(self) -> bool:
        """Whether the stage leaves the backbone as it is."""
        return self.unfreeze in (None, "none")

    @property
    def solved(self) -> bool:
        """Whether a solver computes the head, and no optimizer trains."""
        return self.optimizer.solver == "logistic"

    def known_rate(self) -> float:
        """The learning rate.

        Raises:
            BadConfiguration: It is still to be found by a sweep.
        """
        if self.learning_rate == "auto":
            raise BadConfiguration("learning_rate = auto is set by a sweep when the run starts.")
        return float(self.learning_rate)
