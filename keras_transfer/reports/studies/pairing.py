"""Whether two models of a study differ by more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_transfer.errors import TransferError
from keras_transfer.evaluation.intervals import quantile_interval
from keras_transfer.evaluation.layout import metric_text
from keras_transfer.evaluation.paired import paired_differences, resampled_metrics
from keras_transfer.runs.run import Run
from keras_transfer.runs.shared_examples import align_runs

__all__ = ["Difference", "difference", "mean_interval"]

DRAWS = 1000


class Difference(NamedTuple):
    """The paired difference of two models.

    Attributes:
        metric: Its name.
        row: As ``paired_differences`` gives it, with an interval.
        examples: Number of examples.
    """

    metric: str
    row: Mapping[str, Any]
    examples: int

    def text(self) -> str:
        """The difference with its interval, and whether it is noise."""
        low, high = (metric_text(self.metric, end, sign="+") for end in self.row["interval"])
        noise = self.row["interval"][0] <= 0 <= self.row["interval"][1]
        return (
            f"{metric_text(self.metric, self.row['difference'], sign='+')} (paired 95 % interval "
            f"{low} to {high}: {'within noise' if noise else 'more than noise'})"
        )


def difference(
    first: Sequence[Path], second: Sequence[Path], output: str, split: str
) -> Difference | None:
    """Compare two models on the examples of a split, by the main metric of an output.

    Args:
        first: Folders of the runs of the first model.
        second: Of the second one.
        output: Name of the output.
        split: "test" or "val".

    Returns:
        The second less the first; None where a run is gone or the metric is not defined: a page
        without it is worth more than none.
    """
    try:
        models = [[Run(folder) for folder in folders] for folders in (first, second)]
        objective = models[0][0].outputs[output].objective
        aligned, copies = align_runs(models, output, objective, split)
    except (TransferError, OSError):
        return None
    metric = objective.headline[0]
    chosen = {metric: objective.paired_metrics(aligned.names)[metric]}
    row = paired_differences(aligned, chosen, draws=DRAWS, families=copies)[metric]
    return None if row["interval"] is None else Difference(metric, row, len(aligned.true))


def mean_interval(runs: Sequence[Run], output: str, metric: str) -> list[float] | None:
    """95 % interval of a metric's mean over runs, by resampled test examples and runs.

    Args:
        runs: With the same test split.
        output: Name of the output.
        metric: Name of one of its main metrics.

    Returns:
        Its bounds; None where predictions are gone or the metric is not defined.
    """
    try:
        objective = runs[0].outputs[output].objective
        aligned, copies = align_runs([runs], output, objective)
    except (TransferError, OSError):
        return None
    metrics = objective.paired_metrics(aligned.names)
    if metric not in metrics:
        return None
    chosen = {metric: metrics[metric]}
    (drawn,) = resampled_metrics(aligned, chosen, draws=DRAWS, families=copies)[metric]
    return quantile_interval(drawn)
