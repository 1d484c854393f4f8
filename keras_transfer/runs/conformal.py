"""Prediction sets and intervals of a run, by its val predictions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration
from keras_transfer.evaluation.conformal import (
    SETS,
    conformal_quantile,
    least_examples,
    prediction_sets,
    set_scores,
)
from keras_transfer.evaluation.prediction_files import prediction_file
from keras_transfer.objectives.outputs import Output
from keras_transfer.runs.prediction import Prediction
from keras_transfer.runs.predictor import Predictor
from keras_transfer.runs.run import Run

__all__ = ["Conformal", "Interval"]


class Interval(NamedTuple):
    """A value with its conformal interval.

    Attributes:
        name: Of the target.
        value: What is predicted.
        low: Lower end.
        high: Upper end.
    """

    name: str
    value: float
    low: float
    high: float


class Conformal:
    """Sets of classes, or intervals of values, that hold the truth with a stated probability.

    Args:
        run: A finished run.
        coverage: That probability, in (0, 1), for examples like those of the val split.
        method: "lac" or "aps"; see ``evaluation.conformal.SETS``.

    Raises:
        BadConfiguration: It is no run, an output has several labels, or there are too few val
            examples for this coverage.
        UnknownName: There is no such method.
    """

    def __init__(self, run: Predictor, coverage: float, method: str = "lac"):
        if not 0 < coverage < 1:
            raise BadConfiguration(f"--coverage {coverage:g}: should be above 0 and below 1.")
        _ = SETS[method]
        if not isinstance(run, Run):
            raise BadConfiguration(
                "Prediction sets rest on the val predictions of a run, which an export does not "
                "have. Name the run."
            )
        self.coverage, self.method = coverage, method
        self.quantiles = {
            name: self._quantiles(run, name, one) for name, one in run.outputs.items()
        }

    def _quantiles(self, run: Run, name: str, output: Output) -> np.ndarray:
        """(1,) for classes, (targets,) for values."""
        before = "" if name == LABEL else f" of the output {name}"
        if output.objective.per_token:
            raise BadConfiguration(
                f"Prediction sets are for classes and values; the answer{before} is a label for "
                "each word. Leave --coverage out."
            )
        if output.objective.activation == "sigmoid":
            raise BadConfiguration(
                f"Prediction sets are for classes and values; the answer{before} has several "
                "labels, each with a threshold of its own."
            )
        val = output.objective.read_predictions(run.folder / prediction_file("val", name))
        known = output.objective.known(val.true)
        true, scores = val.true[known], val.scores[known]
        if len(true) < (needed := least_examples(self.coverage)):
            raise BadConfiguration(
                f"--coverage {self.coverage:g} takes {needed:,} val examples with known answers"
                f"{before}; the run has {len(true):,}. Ask for less, or hold out more in a new "
                "run: --set split.val=0.3."
            )
        if output.objective.activation == "softmax":
            apart = set_scores(scores, self.method)[np.arange(len(true)), true][:, None]
        else:
            apart = np.abs(true - scores)
        return np.array([conformal_quantile(column, self.coverage) for column in apart.T])

    def classes(self, prediction: Prediction, output: str) -> list[tuple[str, float]]:
        """The classes in the set of an output, the most probable first, with probabilities."""
        assert prediction.scores is not None
        scores, (quantile,) = prediction.scores[output], self.quantiles[output]
        inside = prediction_sets(scores[None], float(quantile), self.method)[0]
        names = prediction.outputs[output].names
        order = np.argsort(-scores, kind="stable")
        return [(names[i], float(scores[i])) for i in order if inside[i]]

    def intervals(self, prediction: Prediction, output: str) -> list[Interval]:
        """The value of each target of an output with its interval."""
        assert prediction.scores is not None
        names = prediction.outputs[output].names
        rows = zip(names, prediction.scores[output], self.quantiles[output], strict=True)
        return [Interval(n, float(x), float(x - q), float(x + q)) for n, x, q in rows]

    def answers(self, prediction: Prediction) -> dict[str, Any]:
        """Of each output the names in its set, or [low, high] by target, as JSON can hold it."""
        return {
            name: [unit for unit, _ in self.classes(prediction, name)]
            if output.objective.activation == "softmax"
            else {one.name: [one.low, one.high] for one in self.intervals(prediction, name)}
            for name, output in prediction.outputs.items()
        }

    def said(self, prediction: Prediction, output: str) -> str:
        """A set or intervals as text."""
        if prediction.outputs[output].objective.activation == "softmax":
            return "  ".join(f"{n} {p:.4f}" for n, p in self.classes(prediction, output))
        return "  ".join(
            f"{one.name} {one.value:.4f} ({one.low:.4f} to {one.high:.4f})"
            for one in self.intervals(prediction, output)
        )
