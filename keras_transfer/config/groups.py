"""The groups of settings that every recipe has: data, backbone, head, batches, runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from keras_transfer.data.frames import is_frame
from keras_transfer.data.layouts import Layout
from keras_transfer.errors import BadConfiguration
from keras_transfer.group import ClassName, Count, Group, NonNegative, Portion, Share, row_of
from keras_transfer.networks.backbones import BACKBONES
from keras_transfer.networks.custom import is_keras_file
from keras_transfer.networks.preprocessing import PREPROCESSINGS
from keras_transfer.networks.text_backbones import TEXT_BACKBONES
from keras_transfer.tables import Table

__all__ = [
    "AUTO",
    "Backbone",
    "Batches",
    "Data",
    "Head",
    "Learner",
    "LearnerName",
    "Runtime",
    "Split",
]


class _Backbones(Table[object]):
    """All rows, and any ``.keras`` file."""

    def __missing__(self, name: str) -> object:
        if name.endswith((".h5", ".hdf5")):
            raise BadConfiguration(
                f"backbone = {name}: only .keras files hold a network that can be checked before "
                "it is loaded. Load this one in Keras and save it by model.save('NAME.keras')."
            )
        return None if is_keras_file(name) else super().__missing__(name)


AUTO = "auto"
"""The backbone that a ranking on the data finds when the run starts."""

# One table for both: a near miss is suggested whatever the modality.
ALL_BACKBONES = _Backbones("backbone", {**BACKBONES, **TEXT_BACKBONES, AUTO: None})


class Split(Group):
    """Splits of data that have none; shares, or numbers of examples."""

    # 0.5 is a share and 1 a number of examples; Share excludes 1, so no value means both.
    val: Share | Count = Field(0.15, description="validation split: chooses the best epoch")
    test: Share | Count = Field(0.15, description="test split: evaluated once, at the end")
    train: Share | Count | None = Field(
        None, description="class-balanced subset of the remaining examples; None: all of them"
    )
    # Own seed: a study over seeds can hold val and test fixed while everything else varies.
    seed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="random seed of limit, val and test; None: the recipe's seed"
    )


class Data(Group):
    """Source and selection of the labelled examples.

    ``Data("photos")`` is ``Data(source="photos")``.
    """

    primary: ClassVar[str] = "source"
    section: ClassVar[str] = "Data"

    @classmethod
    def nest(cls, given: Any) -> Any:
        """See ``Group.nest``; data in memory are refused, which a file of settings cannot hold."""
        if isinstance(given, tuple) or is_frame(given):
            raise ValueError("is in memory: pass it to run(data=...), which describes it here")
        return super().nest(given)

    source: str = Field(
        description="DIR, FILE.csv, FILE.npz, FILE.mat:ARRAY, tfds:NAME or sklearn:digits"
    )
    data_dir: str | None = Field(None, description="folder of prepared TFDS data sets")
    layout: Layout = Field(
        "auto", description="which folders of the data are splits, and which are classes"
    )
    label_column: str = Field("label", description="column of the labels in a table")
    # A tuple, like all sequences here: a frozen model does not freeze a list inside it.
    classes: tuple[ClassName, ...] | None = Field(
        None, description="keep only these classes, in this order"
    )
    split: Split = Field(Split(), description="how to split data without splits")
    limit: Count | None = Field(None, description="use a class-balanced subset of this size")
    on_bad: Literal["fail", "skip"] = Field(
        "fail", description="what to do with invalid files: fail or skip"
    )
    strict: bool = Field(
        False, description="fail if an image or a group lies in more than one split"
    )
    groups: str | None = Field(
        None, description="table of examples that stay in one split, as `check --twins` writes it"
    )
    relabel: str | None = Field(
        None, description="table of corrected labels, as `check --label-errors` writes it"
    )


class Backbone(Group):
    """The pretrained network. ``Backbone("vgg16")`` is ``Backbone(name="vgg16")``.

    ``Backbone("FILE.keras", preprocessing="tf")`` is a network of the user's.
    """

    primary: ClassVar[str] = "name"
    section: ClassVar[str] = "Network"

    name: Annotated[str, row_of(ALL_BACKBONES)] = Field(
        description="name of the network, or FILE.keras; auto: the best for the data of those on "
        "this machine"
    )
    variant: dict[str, float | bool] = Field(
        {}, description="options of the network, e.g. {alpha: 0.35} for a MobileNet"
    )
    # Free text: whether a file or run exists is checked when the run starts, not when it is
    # written.
    weights: str = Field(
        "imagenet",
        description="imagenet (of texts: preset, the published ones), none, a file, preset:DIR, "
        "run:DIR or recipe:NAME; of FILE.keras: file, its own; of auto also NAME=FILE,...",
        validate_default=True,
    )
    features: str | None = Field(
        None, description="of FILE.keras: layer that gives the features; None: the last map"
    )
    # Never guessed: a wrong one trains without an error, to a worse network.
    preprocessing: Annotated[str, row_of(PREPROCESSINGS)] | None = Field(
        None, description=f"of FILE.keras: {', '.join(PREPROCESSINGS)}"
    )
    batch_norm: Literal["frozen", "train"] = Field(
        "frozen", description="whether batch normalization trains in unfrozen blocks"
    )
    min_images_per_s: NonNegative = Field(
        0.0, description="backbone auto takes none that is slower; 0: any speed"
    )

    @field_validator("weights")
    @classmethod
    def _own_weights(cls, weights: str, info: ValidationInfo) -> str:
        """A file has no weights of ImageNet besides its own; so the default means those."""
        own = weights == "imagenet" and is_keras_file(info.data.get("name", ""))
        return "file" if own else weights


class Head(Group):
    """Layers on top of the backbone: pooling, hidden layers, and the output layer."""

    # Renamed because Backbone has batch_norm too, and a leaf's name is an option of its own.
    old_names: ClassVar[Mapping[str, str]] = {"batch_norm": "batch_normalization"}
    section: ClassVar[str] = "Network"

    pooling: Literal["avg", "max", "avgmax", "flatten", "token"] = Field(
        "avg",
        description="pooling of features; token: the class token of a vision transformer (what "
        "attention pooling gives for siglip2), the first token of a text",
    )
    units: tuple[Count, ...] = Field((), description="widths of the hidden layers, e.g. [256]")
    activation: str = Field("relu", description="Keras activation of the hidden layers")
    # Below 1: Keras accepts a rate of 1, which drops every feature.
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="dropout rate after each hidden layer, or after pooling if there is none"
    )
    batch_normalization: bool = Field(False, description="batch normalization in each hidden layer")
    l1: NonNegative = Field(0.0, description="L1 penalty on the head's kernels")
    l2: NonNegative = Field(0.0, description="L2 penalty on the head's kernels")

    @model_validator(mode="after")
    # A setting without effect is refused: whoever writes it expects one.
    def _something_to_normalize(self) -> Head:
        if self.batch_normalization and not self.units:
            raise ValueError(
                "batch_normalization normalizes hidden layers, and there are none; see units"
            )
        return self


LearnerName = Literal[
    "logistic_regression",
    "linear_svm",
    "svm",
    "knn",
    "lda",
    "nearest_mean",
    "decision_tree",
    "random_forest",
    "gradient_boosting",
]
"""Rows of ``learners.table``, which needs scikit-learn; a test compares them."""


class Learner(Group):
    """A classical learner of scikit-learn. ``Learner("svm")`` is ``Learner(name="svm")``."""

    primary: ClassVar[str] = "name"
    section: ClassVar[str] = "Training"

    name: LearnerName = Field("logistic_regression", description="the learner")
    # Free names: each learner has scikit-learn's own, and they are checked when the run starts.
    parameters: dict[str, int | float | bool | str | None] = Field(
        {},
        description="its parameters, as scikit-learn calls them; the main one is searched unless "
        "it is given",
        json_schema_extra={"section": ""},
    )


class Batches(Group):
    """Batch size, MixUp and CutMix."""

    section: ClassVar[str] = "Training"

    # Over all devices, so that the same recipe trains alike on one GPU and on four.
    batch_size: Count = Field(32, description="examples per step, over all devices")
    mixup: NonNegative = Field(
        0.0,
        description="MixUp alpha, e.g. 0.2; 0 disables it",
        json_schema_extra={"section": "Augmentation"},
    )
    cutmix: Portion = Field(
        0.0,
        description="CutMix alpha, e.g. 1; 0 disables it",
        json_schema_extra={"section": "Augmentation"},
    )
    mixup_off_epoch: Count | None = Field(
        None,
        description="use MixUp and CutMix in the first N epochs of a stage only",
        json_schema_extra={"section": "Augmentation"},
    )


class Runtime(Group):
    """Precision, devices, and feature extraction."""

    section: ClassVar[str] = "Runtime"

    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto",
        description="precision of training steps; auto: half, where that is faster and alike",
    )
    strategy: Literal["auto", "one_device", "mirrored"] = Field(
        "auto", description="tf.distribute strategy; auto uses all GPUs"
    )
    engine: Literal["auto", "keras", "openvino", "none"] = Field(
        "auto", description="computes frozen layers once; none runs them in every epoch"
    )
    # Above 2 % a probe decides too; see features/selection.py.
    engine_error: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="largest relative error of features; 0 allows float32 only"
    )
    cache: bool = Field(True, description="keep features of frozen layers for later runs")
    deterministic: bool = Field(False, description="repeatable GPU kernels, somewhat slower")

    @property
    def steps_precision(self) -> str:
        """Precision of training steps; what is repeatable does not depend on a measurement."""
        return "float32" if self.deterministic and self.precision == "auto" else self.precision
