"""One or several numbers for each example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from keras_transfer.errors import BadData
from keras_transfer.group import ClassName, Positive
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.objectives.bins import value_strata
from keras_transfer.objectives.cells import (
    Cells,
    check_same_columns,
    only_column,
    refuse,
    several_columns,
)

if TYPE_CHECKING:
    import keras

    from keras_transfer.evaluation.paired import Aligned, Run
    from keras_transfer.evaluation.prediction_files import Predicted
    from keras_transfer.evaluation.weighted import Metric

__all__ = ["Regression"]

# A larger value would become infinite in the float32 labels.
MAX_FLOAT32 = float(np.finfo("float32").max)
RESOLUTION = 1e-3
"""Largest step between float32 values, as a share of a target's standard deviation."""


class Regression(Objective):
    """Each example has one or several numbers: linear outputs and a standardised error.

    The last Dense layer works in standardised units; a fixed rescaling behind it gives the units
    of the data, so that metrics, predictions and exports need nothing else.
    """

    activation: ClassVar[str] = "linear"
    monitors: ClassVar[Mapping[str, str]] = {
        "val_loss": "min",
        "val_mae": "min",
        "loss": "min",
        "mae": "min",
    }
    loss_settings: ClassVar[tuple[str, ...]] = ("error", "delta")
    headline: ClassVar[tuple[str, ...]] = ("mae", "rmse", "r2")
    baseline_name: ClassVar[str] = "mean"

    type: Literal["regression"] = "regression"
    columns: tuple[ClassName, ...] = Field(
        (), description="columns of the targets; default: the label column"
    )
    error: Literal["mse", "mae", "huber"] = Field(
        "mse", description="loss on standardised targets: mse, mae or huber"
    )
    delta: Positive = Field(
        1.0, description="error in standard deviations from which huber grows linearly"
    )

    @model_validator(mode="after")
    def _different_columns(self) -> Regression:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns should name each target once; found {list(self.columns)}")
        return self

    def reads(self, column: str = "label") -> tuple[str, ...]:
        """The columns of the targets."""
        return self.columns or (column,)

    def encode(
        self,
        cells: Cells,
        *,
        names: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        missing: bool = False,
    ) -> Labels:
        """See ``Objective.encode``; with ``missing`` all cells of an example may be empty."""
        targets = self.columns or (only_column(cells)[0],)
        # A single target may stand in a column of another name.
        if self.columns or len(names or targets) > 1:
            check_same_columns(targets, names)
        texts = several_columns(cells, targets)
        empty = texts == ""
        shown = [dict(zip(targets, row, strict=True)) for row in texts.tolist()]
        # A row has one weight for all of its targets, so a part of them cannot be left out.
        if missing:
            incomplete = empty.any(axis=1) & ~empty.all(axis=1)
            refuse(
                incomplete, shown, keys, "have some of their targets only; give all of them or none"
            )
        else:
            refuse(empty.any(axis=1), shown, keys, "have no value; remove them or give a number")
        values = np.array([_number(text) for text in texts.ravel().tolist()]).reshape(texts.shape)
        wrong = ~np.isfinite(values) & ~empty
        refuse(wrong.any(axis=1), shown, keys, "have a value that is no finite number, such as 1.5")
        return Labels(values.astype("float32"), targets if names is None else tuple(names))

    def known(self, values: np.ndarray) -> np.ndarray:
        """(n,) bool: rows without NaN."""
        return ~np.isnan(values).any(axis=1)

    def targets(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, targets) float32, 0 where not known, and (n,) float32 weights."""
        known = self.known(values)
        return np.where(known[:, None], values, 0).astype("float32"), known.astype("float32")

    def strata(self, labels: Labels) -> tuple[np.ndarray, tuple[str, ...]]:
        """Bins of equally many examples along the targets: see ``value_strata``."""
        return value_strata(labels.values, labels.names)

    def moments(self, train: Labels) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (ddof 0) of each target of the train split.

        Returns:
            Two (targets,) float64 arrays; the deviations are above 0.

        Raises:
            BadData: A target is constant, or varies by less than float32 can tell apart.
        """
        # float64: for large values a float32 sum of squares loses the deviation.
        values = train.values[self.known(train.values)].astype(float)
        if not len(values):
            raise BadData("No example of the train split has known targets.")
        mean, std = values.mean(axis=0), values.std(axis=0)
        for name, column, deviation in zip(train.names, values.T, std, strict=True):
            # Not std == 0: rounding of the mean leaves a tiny deviation of equal values.
            if np.ptp(column) == 0:
                raise BadData(
                    f"The target {name} is {column[0]:g} in all {len(column)} examples of the "
                    "train split, so there is nothing to learn. Remove it, or take other data."
                )
            if np.spacing(np.float32(np.abs(column).max())) > RESOLUTION * deviation:
                raise BadData(
                    f"The target {name} varies by {deviation:.3g} around {column.mean():.9g}: "
                    "float32 has too few digits for that. Subtract a constant from the column."
                )
        return mean, std

    def output(self, train: Labels) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
        """A fixed layer back to the data's units: (batch, targets) times deviation plus mean."""
        import keras

        mean, std = self.moments(train)
        # float32 whatever the policy: bfloat16 would round predictions to three digits.
        return keras.layers.Rescaling(std.tolist(), mean.tolist(), dtype="float32", name="units")

    def loss(self, train: Labels) -> keras.losses.Loss:
        """Error of values in the data's units, divided by the train split's deviations.

        Gradients are those of training on standardised targets.
        """
        from keras_transfer.objectives.graph.losses import StandardisedError

        return StandardisedError(self.moments(train)[1].tolist(), self.error, self.delta)

    def training_metrics(self, names: Sequence[str]) -> list[Any]:
        """Mean absolute error in the data's units, the mean over all targets."""
        return ["mae"]

    def scores(self, outputs: Any) -> Any:
        """(batch, targets) float32, the outputs themselves."""
        from keras import ops

        return ops.cast(outputs, "float32")

    def decide(self, scores: np.ndarray, decision: Mapping[str, Any] | None = None) -> np.ndarray:
        """(n, targets): the scores themselves."""
        return np.asarray(scores)

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
        """See ``evaluation.regression_metrics.regression_metrics``."""
        from keras_transfer.evaluation.regression_metrics import regression_metrics

        return regression_metrics(true, scores, names, families=families)

    def baseline(self, train: Labels, true: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        """See ``evaluation.regression_metrics.mean_baseline``."""
        from keras_transfer.evaluation.regression_metrics import mean_baseline

        return mean_baseline(train.values, true, names)

    def summary(self, metrics: dict[str, Any]) -> str:
        """See ``evaluation.regression_metrics.regression_summary``."""
        from keras_transfer.evaluation.regression_metrics import regression_summary

        return regression_summary(metrics)

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
        """See ``evaluation.prediction_files.write_value_predictions``."""
        from keras_transfer.evaluation.prediction_files import write_value_predictions

        write_value_predictions(path, keys, true, scores, names)

    def read_predictions(self, path: str | Path) -> Predicted:
        """See ``evaluation.prediction_files.read_value_predictions``."""
        from keras_transfer.evaluation.prediction_files import read_value_predictions

        return read_value_predictions(path)

    def paired_metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """MAE, RMSE and R2, the means over all targets."""
        from keras_transfer.evaluation.weighted import regression_metric

        return {name: regression_metric(name) for name in self.headline}

    def compare(
        self,
        aligned: Aligned,
        first: int,
        second: int,
        *,
        draws: int = 2000,
        seed: int = 0,
        families: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """As all objectives do; of several targets also ``per_target``, the metrics of each.

        ``families`` is (n,) int: copies of an example have the same value.
        """
        from keras_transfer.evaluation.paired import paired_differences

        sampling: dict[str, Any] = {"draws": draws, "seed": seed, "families": families}
        report = super().compare(aligned, first, second, **sampling)
        if len(aligned.names) > 1:
            report["per_target"] = {
                name: paired_differences(
                    aligned.unit(place), self.paired_metrics([name]), first, second, **sampling
                )
                for place, name in enumerate(aligned.names)
            }
        return report

    def tests(
        self, true: np.ndarray, first: Run, second: Run, names: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """``wilcoxon``: for each target the signed-rank test of the absolute errors.

        ``true`` is (n, targets) float in the units of the data.
        """
        from keras_transfer.evaluation.comparing import signed_rank

        errors = [np.abs(run.decided - true).T for run in (first, second)]
        return {
            "wilcoxon": [
                {"target": name, **signed_rank(*rows)}
                for name, *rows in zip(names, *errors, strict=True)
            ]
        }


def _number(text: str) -> float:
    """The number in a cell; NaN where there is none, or none that float32 can hold."""
    try:
        value = float(text)
    except ValueError:
        return np.nan
    # float() reads "inf" and "nan" too; both end here as NaN.
    return value if abs(value) <= MAX_FLOAT32 else np.nan
