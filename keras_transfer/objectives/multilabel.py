"""Any number of labels for each example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from keras_transfer.errors import BadData
from keras_transfer.evaluation.thresholds import reached
from keras_transfer.group import ClassName
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.objectives.cells import (
    Cells,
    check_same_columns,
    only_column,
    refuse,
    several_columns,
)
from keras_transfer.objectives.combinations import combination_strata
from keras_transfer.objectives.operating import Threshold

if TYPE_CHECKING:
    import keras

    from keras_transfer.evaluation.paired import Run
    from keras_transfer.evaluation.prediction_files import Predicted
    from keras_transfer.evaluation.weighted import Metric

__all__ = ["MultiLabel"]

WORDS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), 1.0),
    # An empty cell is a 0: people leave cells without a label empty.
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n", ""), 0.0),
}
MAX_POS_WEIGHT = 100.0
"""A single positive of a label with thousands of negatives would rule its batch."""


class MultiLabel(Objective):
    """Each example has any number of labels: sigmoid and binary cross-entropy per label."""

    activation: ClassVar[str] = "sigmoid"
    monitors: ClassVar[Mapping[str, str]] = {
        "val_loss": "min",
        "val_pr_auc": "max",
        "loss": "min",
        "pr_auc": "max",
    }
    loss_settings: ClassVar[tuple[str, ...]] = ("imbalance", "label_smoothing")
    headline: ClassVar[tuple[str, ...]] = (
        *("mean_average_precision", "macro_f1", "micro_f1", "hamming_loss"),
    )
    baseline_name: ClassVar[str] = "prevalence"

    type: Literal["multilabel"] = "multilabel"
    columns: tuple[ClassName, ...] = Field(
        (), description="columns of 0 and 1, one per label; default: one column of label names"
    )
    separator: Annotated[str, Field(min_length=1)] = Field(
        "|", description="separator of the labels in a cell, e.g. cat|dog; an empty cell has none"
    )
    imbalance: Literal["none", "pos_weight"] = Field(
        "none",
        description="pos_weight: positives of a label count negatives/positives times, at most 100",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="label smoothing factor, from 0 to below 1"
    )
    calibrate: Literal["temperature", "isotonic", "auto", "none"] = Field(
        "temperature",
        description="temperature: divide the outputs by a number fitted on val, so that "
        "probabilities are chances; isotonic: a curve for each label; auto: the better one; none: "
        "leave them",
    )
    threshold: Threshold = Field(
        Threshold(), description="recall or precision on val of each label; default: the best F1"
    )

    @model_validator(mode="after")
    # A label that is named twice would count twice in the loss.
    def _different_columns(self) -> MultiLabel:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns should name each label once; found {list(self.columns)}")
        # A tab is blank too, but no part of a name.
        if not self.separator.strip() and self.separator != "\t":
            raise ValueError("separator should not be blank: blanks around a label are removed")
        if self.threshold.positive is not None:
            raise ValueError("threshold.positive is for two classes: each label has its threshold")
        return self

    def reads(self, column: str = "label") -> tuple[str, ...]:
        """The columns of 0 and 1, or the one column of names."""
        return self.columns or (column,)

    def encode(
        self,
        cells: Cells,
        *,
        names: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        missing: bool = False,
    ) -> Labels:
        """See ``Objective.encode``.

        An empty cell means no label, or a 0. With ``missing`` an example whose cells are all
        empty is not known. Labels found in the cells are sorted by name.
        """
        if self.columns:
            labels, empty = self._from_columns(cells, names, keys)
        else:
            labels, empty = self._from_names(cells, names, keys)
        if missing:
            # NaN marks the row: 0 would claim that it has no label.
            labels.values[empty] = np.nan
        return labels

    def _from_columns(
        self, cells: Cells, names: Sequence[str] | None, keys: Sequence[str] | None
    ) -> tuple[Labels, np.ndarray]:
        check_same_columns(self.columns, names)
        texts = several_columns(cells, self.columns)
        flat = [WORDS.get(text.lower(), np.nan) for text in texts.ravel().tolist()]
        values = np.array(flat, "float32").reshape(texts.shape)
        shown = [dict(zip(self.columns, row, strict=True)) for row in texts.tolist()]
        wrong = np.isnan(values).any(axis=1)
        refuse(wrong, shown, keys, "have a cell that is none of 0, 1, true, false, yes, no")
        return Labels(values, self.columns), (texts == "").all(axis=1)

    def _from_names(
        self, cells: Cells, names: Sequence[str] | None, keys: Sequence[str] | None
    ) -> tuple[Labels, np.ndarray]:
        column, texts = only_column(cells)
        # Without "": "cat|" has one label.
        sets = [{part.strip() for part in text.split(self.separator)} - {""} for text in texts]
        labels = tuple(sorted(set().union(*sets)) if names is None else names)
        if not labels:
            raise BadData(f"No example has a label in the column {column}.")
        strange = np.array([not present <= set(labels) for present in sets], bool)
        known = f"have a label in the column {column} that is none of {', '.join(labels[:30])}"
        refuse(strange, texts, keys, known)
        values = np.array([[name in present for name in labels] for present in sets], "float32")
        # Without examples the array is (0,), which has no second axis.
        return Labels(values.reshape(-1, len(labels)), labels), texts == ""

    def known(self, values: np.ndarray) -> np.ndarray:
        """(n,) bool: rows without NaN."""
        return ~np.isnan(values).any(axis=1)

    def targets(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, labels) float32, 0 where not known, and (n,) float32 weights."""
        known = self.known(values)
        return np.where(known[:, None], values, 0).astype("float32"), known.astype("float32")

    def strata(self, labels: Labels) -> tuple[np.ndarray, tuple[str, ...]]:
        """Combinations of labels, rare ones merged: see ``combination_strata``."""
        return combination_strata(labels.values, labels.names)

    def pos_weight(self, train: Labels) -> np.ndarray:
        """(labels,) float64: negatives / positives of the train split, in [1/100, 100].

        Raises:
            BadData: A label has no positives in the train split, so nothing can be learnt of it.
        """
        values = train.values[self.known(train.values)]
        # A float32 sum of ones stops at 16,777,216.
        positives = values.sum(axis=0, dtype="float64")
        if lacking := [n for n, count in zip(train.names, positives, strict=True) if not count]:
            raise BadData("No pos_weight balances a label without training examples:", lacking)
        ratio = (len(values) - positives) / positives
        return np.clip(ratio, 1 / MAX_POS_WEIGHT, MAX_POS_WEIGHT)

    def loss(self, train: Labels) -> keras.losses.Loss:
        """Binary cross-entropy of logits, the mean over all labels."""
        import keras

        if self.imbalance == "none":
            return keras.losses.BinaryCrossentropy(
                from_logits=True, label_smoothing=self.label_smoothing
            )
        from keras_transfer.objectives.graph.losses import WeightedBinaryCrossentropy

        return WeightedBinaryCrossentropy(self.pos_weight(train).tolist(), self.label_smoothing)

    def training_metrics(self, names: Sequence[str]) -> list[Any]:
        """``pr_auc``: an approximation of mean average precision while training."""
        from keras_transfer.objectives.graph.metrics import MultiLabelAUC

        return [MultiLabelAUC(len(names))]

    def scores(self, outputs: Any) -> Any:
        """(batch, labels) float32 sigmoid."""
        from keras import ops

        return ops.sigmoid(ops.cast(outputs, "float32"))

    def decision(
        self, true: np.ndarray, scores: np.ndarray, names: Sequence[str] = ()
    ) -> dict[str, Any]:
        """``thresholds``: by label, the one with the highest F1; see ``best_thresholds``.

        Where a recall or precision is asked for, the one that reaches it; ``reached`` says of
        which labels there is one.
        """
        from keras_transfer.evaluation.multilabel_metrics import best_thresholds

        best = best_thresholds(true, scores).tolist()
        if not self.threshold.wanted:
            return {"thresholds": best}
        known = self.known(true)
        columns = zip(true[known].T > 0, scores[known].T, strict=True)
        chosen = [self.threshold.choose(*column) for column in columns]
        values = [f1 if own is None else own for own, f1 in zip(chosen, best, strict=True)]
        return {"thresholds": values, "reached": [own is not None for own in chosen]}

    def decide(self, scores: np.ndarray, decision: Mapping[str, Any] | None = None) -> np.ndarray:
        """(n, labels) bool: scores at their label's threshold or above; 0.5 by default."""
        # As in `best_thresholds`, whose thresholds are fitted for it.
        return reached(scores, (decision or {}).get("thresholds", 0.5))

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
        """See ``evaluation.multilabel_metrics.multilabel_metrics``."""
        from keras_transfer.evaluation.multilabel_metrics import multilabel_metrics

        thresholds = (decision or {}).get("thresholds")
        found = multilabel_metrics(true, scores, names, thresholds=thresholds, families=families)
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

        known = self.known(true)
        copies = None if families is None else np.asarray(families)[known]
        found, rows = {}, zip(names, decision["thresholds"], decision["reached"], strict=True)
        for place, (name, value, there) in enumerate(rows):
            own = value if there else None
            positive, chances = true[known, place] > 0, np.asarray(scores)[known, place]
            found[name] = operating_report(positive, chances, own, copies)
        return {"asked": self.threshold.asked, "per_label": found}

    def baseline(self, train: Labels, true: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        """See ``evaluation.multilabel_metrics.prevalence_baseline``."""
        from keras_transfer.evaluation.multilabel_metrics import prevalence_baseline

        return prevalence_baseline(train.values, true, names)

    def summary(self, metrics: dict[str, Any]) -> str:
        """See ``evaluation.multilabel_metrics.multilabel_summary``."""
        from keras_transfer.evaluation.multilabel_metrics import multilabel_summary

        return multilabel_summary(metrics)

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
        """See ``evaluation.prediction_files.write_label_predictions``."""
        from keras_transfer.evaluation.prediction_files import write_label_predictions

        write_label_predictions(path, keys, true, scores, self.decide(scores, decision), names)

    def read_predictions(self, path: str | Path) -> Predicted:
        """See ``evaluation.prediction_files.read_label_predictions``."""
        from keras_transfer.evaluation.prediction_files import read_label_predictions

        return read_label_predictions(path)

    def paired_metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """Mean average precision, macro F1, micro F1 and Hamming loss."""
        from keras_transfer.evaluation.weighted import multilabel_metric

        return {name: multilabel_metric(name) for name in self.headline}

    def tests(
        self, true: np.ndarray, first: Run, second: Run, names: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """``mcnemar``: McNemar's exact test of the examples all of whose labels are right.

        ``true`` is (n, labels) float, 0 or 1.
        """
        from keras_transfer.evaluation.comparing import mcnemar

        right = [(run.decided == (true > 0)).all(axis=1) for run in (first, second)]
        return {"mcnemar": [mcnemar(*right)]}
