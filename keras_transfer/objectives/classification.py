"""One class of several for each example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from keras_transfer.errors import BadData
from keras_transfer.group import ClassName, NonNegative
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.objectives.cells import Cells, only_column, refuse
from keras_transfer.objectives.imbalance import Imbalance, OwnWeights
from keras_transfer.objectives.operating import Threshold, decided_class, positive_place
from keras_transfer.objectives.rejection import Reject

if TYPE_CHECKING:
    import keras

    from keras_transfer.evaluation.paired import Run
    from keras_transfer.evaluation.prediction_files import Predicted
    from keras_transfer.evaluation.weighted import Metric

__all__ = ["Classification"]


class Classification(Objective):
    """Each example belongs to one class: softmax and cross-entropy."""

    activation: ClassVar[str] = "softmax"
    monitors: ClassVar[Mapping[str, str]] = {
        "val_loss": "min",
        "val_accuracy": "max",
        "loss": "min",
        "accuracy": "max",
    }
    headline: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    baseline_name: ClassVar[str] = "majority"

    type: Literal["classification"] = "classification"
    imbalance: Imbalance = Field(
        "auto",
        description="how class imbalance is handled",
        json_schema_extra={"section": "Imbalance"},
    )
    class_weight: dict[ClassName, NonNegative] | OwnWeights | None = Field(
        None,
        description="{class: weight} in the loss, instead of weights that imbalance computes",
        json_schema_extra={"section": "Imbalance"},
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="label smoothing factor, from 0 to below 1"
    )
    calibrate: Literal["temperature", "none"] = Field(
        "temperature",
        description="temperature: divide the outputs by a number fitted on val, so that "
        "probabilities are chances; none: leave them",
    )
    reject: Reject = Field(
        Reject(),
        description="answer unknown, so that this share of the other answers is right on val",
    )
    threshold: Threshold = Field(
        Threshold(), description="recall or precision on val of one of two classes"
    )

    @model_validator(mode="after")
    # Never guessed: the recall of the other class would be a wrong result without an error.
    def _named_positive(self) -> Classification:
        if self.threshold.wanted and self.threshold.positive is None:
            metric = next(iter(self.threshold.asked))
            raise ValueError(
                f"threshold.{metric} is that of one of two classes: name it by "
                "--set threshold.positive=NAME"
            )
        return self

    def encode(
        self,
        cells: Cells,
        *,
        names: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        missing: bool = False,
    ) -> Labels:
        """See ``Objective.encode``; classes found in the cells are sorted by name."""
        column, texts = only_column(cells)
        empty = texts == ""
        if not missing:
            refuse(empty, texts, keys, f"have no class in the column {column}")
        # Sorted: the order of rows must not decide which number a class has.
        classes = tuple(sorted(set(texts[~empty].tolist())) if names is None else names)
        if len(classes) < 2:
            present = repr(classes[0]) if classes else "none"
            raise BadData(
                f"Classification takes two or more classes; the column {column} has {present}."
            )
        # -1 is an empty cell, -2 a word that is no class.
        number = {name: index for index, name in enumerate(classes)} | {"": -1}
        values = np.array([number.get(text, -2) for text in texts.tolist()], "int32")
        known = f"have a class in the column {column} that is none of {', '.join(classes[:30])}"
        refuse(values == -2, texts, keys, known)
        return Labels(values, classes)

    def known(self, values: np.ndarray) -> np.ndarray:
        """(n,) bool: where the class is not -1."""
        return np.asarray(values) >= 0

    def targets(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int32 classes, 0 where not known, and (n,) float32 weights."""
        known = self.known(values)
        # Sparse cross-entropy of class -1 fails on a CPU and is NaN on a GPU, whatever its weight.
        return np.where(known, values, 0).astype("int32"), known.astype("float32")

    def strata(self, labels: Labels) -> tuple[np.ndarray, tuple[str, ...]]:
        """(n,) int32 classes; a further stratum holds the examples whose class is not known."""
        values, names = np.asarray(labels.values, "int32"), labels.names
        if self.known(values).all():
            return values, names
        return np.where(values < 0, len(names), values).astype("int32"), (*names, "(not known)")

    def loss(
        self, train: Labels, soft: bool = False, focal_gamma: float = 0.0
    ) -> keras.losses.Loss:
        """Cross-entropy of logits.

        Args:
            train: Labels of the train split.
            soft: Whether the batches have (batch, classes) shares of classes, as label smoothing
                and mixup make them, instead of (batch,) classes.
            focal_gamma: Above 0: focal loss, -(1 - p)^gamma log p (Lin et al. 2017), on shares.
        """
        import keras

        # alpha=1: Keras's default of 0.25 would scale the loss, and so the rate.
        if focal_gamma:
            return keras.losses.CategoricalFocalCrossentropy(
                alpha=1.0, gamma=focal_gamma, from_logits=True
            )
        if soft:
            return keras.losses.CategoricalCrossentropy(from_logits=True)
        # From logits, since the log of a softmax underflows for confident classes.
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def training_metrics(self, names: Sequence[str]) -> list[Any]:
        """Accuracy."""
        return ["accuracy"]

    def scores(self, outputs: Any) -> Any:
        """(batch, classes) float32 softmax."""
        from keras import ops

        # Cast first: in bfloat16 a softmax has three digits.
        return ops.softmax(ops.cast(outputs, "float32"), axis=-1)

    def decision(
        self, true: np.ndarray, scores: np.ndarray, names: Sequence[str] = ()
    ) -> dict[str, Any]:
        """``threshold`` and ``positive``, the place of its class, where one is asked for.

        Empty where no threshold reaches what is asked for.
        """
        if not self.threshold.wanted:
            return {}
        known, positive = self.known(true), positive_place(self.threshold, names)
        found = self.threshold.choose(true[known] == positive, scores[known, positive])
        return {} if found is None else {"threshold": found, "positive": positive}

    def decide(self, scores: np.ndarray, decision: Mapping[str, Any] | None = None) -> np.ndarray:
        """(n,) int64: by the threshold, or the class with the highest score.

        Of equal scores the first class.
        """
        if decision and "threshold" in decision:
            return decided_class(scores, decision)
        return np.asarray(scores).argmax(axis=1)

    def evaluate(
        self,
        true: np.ndarray,
        scores: np.ndarray,
        names: Sequence[str],
        *,
        decision: Mapping[str, Any] | None = None,
        train: Labels | None = None,
        families: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """See ``evaluation.metrics.classification_metrics``."""
        from keras_transfer.evaluation.metrics import classification_metrics

        counts, true = None if train is None else _counts(train), np.asarray(true)
        predicted = self.decide(scores, decision)
        found = classification_metrics(true, scores, names, counts, families, predicted)
        if not self.threshold.wanted or decision is None:
            return found
        return found | {"threshold": self._operating(true, scores, names, decision, families)}

    def _operating(
        self,
        true: np.ndarray,
        scores: np.ndarray,
        names: Sequence[str],
        decision: Mapping[str, Any],
        families: np.ndarray | None,
    ) -> dict[str, Any]:
        from keras_transfer.evaluation.thresholds import operating_report

        known, place = self.known(true), positive_place(self.threshold, names)
        copies = None if families is None else np.asarray(families)[known]
        value = decision.get("threshold")
        positive, scores = true[known] == place, np.asarray(scores)[known, place]
        report = operating_report(positive, scores, value, copies)
        return {"asked": self.threshold.asked, "positive": names[place], **report}

    def baseline(self, train: Labels, true: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        """See ``evaluation.metrics.majority_baseline``."""
        from keras_transfer.evaluation.metrics import majority_baseline

        return majority_baseline(_counts(train), true, names)

    def summary(self, metrics: dict[str, Any]) -> str:
        """See ``evaluation.metrics.summary``."""
        from keras_transfer.evaluation.metrics import summary

        return summary(metrics)

    def write_predictions(
        self,
        path: str | Path,
        keys: Iterable[str],
        true: np.ndarray | None,
        scores: np.ndarray,
        names: Sequence[str],
        *,
        decision: Mapping[str, Any] | None = None,
    ) -> None:
        """See ``evaluation.predictions.write_predictions``."""
        from keras_transfer.evaluation.predictions import write_predictions

        decided = self.decide(scores, decision)
        write_predictions(path, keys, true, scores, names, decided)

    def read_predictions(self, path: str | Path) -> Predicted:
        """See ``evaluation.predictions.read_predictions``."""
        from keras_transfer.evaluation.prediction_files import read_class_predictions

        return read_class_predictions(path)

    def paired_metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """Accuracy and macro F1."""
        from keras_transfer.evaluation.weighted import classification_metric

        return {name: classification_metric(name, len(names)) for name in self.headline}

    def tests(
        self, true: np.ndarray, first: Run, second: Run, names: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """``mcnemar``: McNemar's exact test of the examples that only one run gets right.

        ``true`` is (n,) int: the class of each example.
        """
        from keras_transfer.evaluation.comparing import mcnemar

        return {"mcnemar": [mcnemar(first.decided == true, second.decided == true)]}


def _counts(train: Labels) -> np.ndarray:
    # bincount refuses -1. minlength: a class may have no training example.
    known = train.values[train.values >= 0]
    return np.bincount(known, minlength=len(train.names))
