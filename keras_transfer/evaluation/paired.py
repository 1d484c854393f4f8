"""Paired differences between models of any objective, by the bootstrap over the same examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.errors import BadData
from keras_transfer.evaluation.checks import known_rows
from keras_transfer.evaluation.intervals import CHUNK, draw_weights, quantile_interval
from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.evaluation.weighted import Metric

__all__ = ["Aligned", "Run", "align_predictions", "paired_differences", "resampled_metrics"]


class Run(NamedTuple):
    """Predictions of one run for the examples that all runs share.

    Attributes:
        scores: (n, units) float.
        decided: (n,) int classes, (n, labels) bool or (n, targets) float.
    """

    scores: np.ndarray
    decided: np.ndarray

    def of(self, places: np.ndarray) -> Run:
        """The predictions of some of the examples, whose places are (m,) int."""
        return Run(self.scores[places], self.decided[places])


class Aligned(NamedTuple):
    """Predictions of several models for the same n examples; a model may have several runs.

    Attributes:
        keys: (n,) object array of str.
        true: (n,) int classes, or (n, units) float.
        models: For each model its runs.
        names: Names of the units.
        left_out: Number of examples that not all runs have predicted.
    """

    keys: np.ndarray
    true: np.ndarray
    models: list[list[Run]]
    names: tuple[str, ...]
    left_out: int

    def unit(self, place: int) -> Aligned:
        """The same for one of several units, of (n, 1) values."""
        column = slice(place, place + 1)
        models = [
            [Run(run.scores[:, column], run.decided[:, column]) for run in runs]
            for runs in self.models
        ]
        names = self.names[column]
        return self._replace(true=self.true[:, column], models=models, names=names)


def align_predictions(models: Sequence[Sequence[Predicted]]) -> Aligned:
    """Find the examples that all runs have predicted, by their keys.

    Units are paired by name, in any order. Examples without a known true value are left out.

    Args:
        models: For each model the predictions of its runs, all of one objective.

    Raises:
        BadData: The runs differ in classes, labels or targets, or in true values, or share no
            example.
    """
    names = models[0][0].names
    ends = np.cumsum([len(runs) for runs in models])[:-1]
    runs = [_in_order(run, names) for group in models for run in group]
    tables = [_places(run) for run in runs]
    # In the order of the first run, so that the draws do not depend on hashes.
    keys = [key for key in tables[0] if all(key in table for table in tables)]
    if not keys:
        raise BadData(
            "The runs share no test example, so nothing can be paired. Give them the same data "
            "and the same split.seed."
        )
    rows = [[table[key] for key in keys] for table in tables]
    true = [run.true[indices] for run, indices in zip(runs, rows, strict=True)]
    _check_true(keys, true, names)
    predictions = [
        Run(run.scores[indices], run.decided[indices])
        for run, indices in zip(runs, rows, strict=True)
    ]
    grouped = [
        predictions[start:end]
        for start, end in zip([0, *ends], [*ends, len(predictions)], strict=True)
    ]
    left_out = len(set().union(*tables)) - len(keys)
    return Aligned(np.array(keys, object), true[0], grouped, names, left_out)


def _in_order(run: Predicted, names: tuple[str, ...]) -> Predicted:
    """The same predictions with their units in the order of ``names``."""
    if set(run.names) != set(names) or len(run.names) != len(names):
        word = "classes" if run.true.ndim == 1 else "labels or targets"
        raise BadData(
            f"The runs have different {word}: {', '.join(names)}; {', '.join(run.names)}. "
            f"Compare runs with the same {word}."
        )
    if run.names == names:
        return run
    order = [run.names.index(name) for name in names]
    number = np.append(np.argsort(order), -1)  # [-1]: a class that is not known
    true, decided = (
        number[values] if values.ndim == 1 else values[:, order]
        for values in (run.true, run.decided)
    )
    return Predicted(run.keys, true, run.scores[:, order], decided, names)


def _places(run: Predicted) -> dict[str, int]:
    """The row of each key whose true value is known."""
    known = known_rows(run.true)
    return {key: row for row, key in enumerate(run.keys) if known[row]}


def _check_true(keys: Sequence[str], true: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Refuse runs whose examples have other true values, such as numbers in another unit."""
    for values in true[1:]:
        if values.shape != true[0].shape:  # labels of words: as wide as the longest text
            raise BadData(
                "The runs have texts of different lengths. Compare runs on the same data."
            )
        differs = (values != true[0]).reshape(len(keys), -1)
        conflicting = [
            f"{keys[row]}: {_text(true[0][row], names)}; {_text(values[row], names)}"
            for row in np.flatnonzero(differs.any(axis=1)).tolist()
        ]
        if conflicting:
            raise BadData(
                f"The runs have different true values for {len(conflicting)} of {len(keys)} "
                f"examples{_factor(true[0], values)}. Compare runs on the same data:",
                conflicting,
            )


def _text(value: np.ndarray, names: Sequence[str]) -> str:
    """The true value of an example: a class, or each unit with its number."""
    if np.ndim(value) == 0:
        return names[int(value)]
    if np.issubdtype(value.dtype, np.integer):  # labels of words, -1 behind the last one
        return " ".join(names[label] for label in value if label >= 0)
    return ", ".join(f"{name} = {number:g}" for name, number in zip(names, value, strict=True))


def _factor(first: np.ndarray, second: np.ndarray) -> str:
    """The factor between values in two units, for the message; "" if there is none."""
    if first.ndim == 1:
        return ""
    counts = (first != 0) & (second != 0)
    ratios = second[counts] / first[counts]
    if not len(ratios) or np.ptp(ratios) > 1e-4 * abs(ratios[0]) or abs(ratios[0] - 1) < 1e-4:
        return ""
    return f" (they are {ratios[0]:g} times as large, as in another unit)"


def resampled_metrics(
    aligned: Aligned,
    metrics: Mapping[str, Metric],
    *,
    draws: int = 1000,
    seed: int = 0,
    families: np.ndarray | None = None,
) -> dict[str, list[np.ndarray]]:
    """Metrics of each model over resampled examples, the same for all, and resampled runs.

    Args:
        aligned: As ``align_predictions`` gives it.
        metrics: By name, as ``Objective.paired_metrics`` gives them.
        draws: Number of resamples.
        seed: Seed of the draws.
        families: (n,) copies of an example have the same value and are resampled together.

    Returns:
        By metric, for each model (draws,) float64; NaN where a resample does not define it.
    """
    chunks = [*_drawn(aligned, metrics, (draws, seed), families)]
    return {
        name: [
            np.concatenate([chunk[name][model] for chunk in chunks])
            for model in range(len(aligned.models))
        ]
        for name in metrics
    }


def _drawn(
    aligned: Aligned,
    metrics: Mapping[str, Metric],
    draws: tuple[int, int],
    families: np.ndarray | None,
) -> Iterator[dict[str, list[np.ndarray]]]:
    (total, seed), n = draws, len(aligned.true)
    rng = np.random.default_rng(seed)
    for start in range(0, total, CHUNK):
        size = min(CHUNK, total - start)
        # One resample for all models: what makes an example hard cancels out in the difference.
        weights = draw_weights(rng, n, size, families)
        shares = [
            rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size)
            for runs in aligned.models
        ]
        yield {
            name: [
                _mean(_of_runs(metric, weights, aligned.true, runs), share)
                for runs, share in zip(aligned.models, shares, strict=True)
            ]
            for name, metric in metrics.items()
        }


def _of_runs(
    metric: Metric, weights: np.ndarray, true: np.ndarray, runs: Sequence[Run]
) -> np.ndarray:
    """(draws, runs) metrics."""
    return np.stack([metric(weights, true, run.scores, run.decided) for run in runs], axis=1)


def _mean(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(draws,) means over the runs, weighted by how often each was drawn."""
    # NaN times 0 is NaN, so a run that was not drawn is set to 0 first.
    return (np.where(share > 0, values, 0) * share).sum(axis=1) / values.shape[1]


def paired_differences(
    aligned: Aligned,
    metrics: Mapping[str, Metric],
    first: int = 0,
    second: int = 1,
    *,
    draws: int = 2000,
    seed: int = 0,
    families: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
    """Compare two models on the same examples; differences are the second less the first.

    Args:
        aligned: As ``align_predictions`` gives it; only these two models are drawn.
        metrics: By name, as ``Objective.paired_metrics`` gives them.
        first: Position of the reference model.
        second: Position of the other model.
        draws: Number of resamples of the bootstrap.
        seed: Seed of the draws.
        families: (n,) copies of an example have the same value and are resampled together.

    Returns:
        By metric ``first``, ``second``, ``difference`` (means over runs; None where not defined)
        and its 95 % ``interval`` over examples, and over runs where a model has several;
        ``first_interval`` and ``second_interval`` of the two by the same resamples.
    """
    pair = aligned._replace(models=[aligned.models[first], aligned.models[second]])
    drawn = resampled_metrics(pair, metrics, draws=draws, seed=seed, families=families)
    ones = np.ones((1, len(aligned.true)))
    report: dict[str, dict[str, Any]] = {}
    for name, metric in metrics.items():
        a, b = (float(_of_runs(metric, ones, pair.true, runs).mean()) for runs in pair.models)
        report[name] = {
            key: None if np.isnan(value) else value
            for key, value in (("first", a), ("second", b), ("difference", b - a))
        }
        report[name]["interval"] = quantile_interval(drawn[name][1] - drawn[name][0])
        for key, values in zip(("first", "second"), drawn[name], strict=True):
            report[name][f"{key}_interval"] = quantile_interval(values)
    return report
