"""What is asked of a run: which output, and which class of each example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.evaluation.inference import ACTIVATIONS
from keras_transfer.objectives.outputs import Output
from keras_transfer.runs.prediction import Prediction
from keras_transfer.runs.run import Run

__all__ = ["Asked"]

UNITS = {"softmax": "class", "sigmoid": "label", "linear": "target"}


class Asked:
    """An output of a run, and the unit of it to explain.

    Args:
        run: A finished run.
        unit: Name of the class, label or target; None: the class that is the answer for each
            example, the most probable label, the first target of a regression.
        output: Name of the network's output; None: the first one.

    Attributes:
        name: Of the output.
        output: What it predicts.

    Raises:
        UnknownName: There is no such output, class, label or target.
        BadConfiguration: The run labels words.
    """

    def __init__(self, run: Run, unit: str | None = None, output: str | None = None):
        self.name = next(iter(run.outputs)) if output is None else output
        if self.name not in run.outputs:
            raise UnknownName("output", self.name, run.outputs)
        self.output: Output = run.outputs[self.name]
        if self.output.objective.per_token:
            raise BadConfiguration(
                f"The run in {run.folder} labels each word, and explain takes models with one "
                "answer for each example. `kt-recipe predict` shows its words and labels."
            )
        if unit is not None and unit not in self.output.names:
            raise UnknownName(UNITS[self.activation], unit, self.output.names)
        self._unit = None if unit is None else self.output.names.index(unit)

    @property
    def activation(self) -> str:
        """softmax, sigmoid or linear."""
        return self.output.objective.activation

    def units(self, outputs: Mapping[str, Any]) -> np.ndarray:
        """(n,) int32: the named unit, or the answer for each example.

        Args:
            outputs: (n, units) by the name of the output, before any activation.
        """
        logits = np.asarray(outputs[self.name])
        if self._unit is not None or self.activation == "linear":
            return np.full(len(logits), self._unit or 0, "int32")
        if self.activation == "sigmoid":
            return logits.argmax(axis=1).astype("int32")
        scores = ACTIVATIONS[self.activation](logits.astype("float64"))
        # By the threshold, where the run has one.
        return self.output.objective.decide(scores, self.output.decision).astype("int32")

    def answers(self, outputs: Mapping[str, Any]) -> Sequence[str]:
        """The network's answer for each example, as a text; takes what ``units`` does."""
        scores = {name: np.asarray(tensor, "float64") for name, tensor in outputs.items()}
        scores[self.name] = ACTIVATIONS[self.activation](scores[self.name])
        only = {self.name: self.output}
        return [
            _answer(Prediction("", {name: rows[n] for name, rows in scores.items()}, only))
            for n in range(len(scores[self.name]))
        ]


def _answer(prediction: Prediction) -> str:
    (answer,) = prediction.answers().values()
    if isinstance(answer, tuple):
        return "|".join(answer)
    if isinstance(answer, dict):
        return ", ".join(f"{name} {value:.4g}" for name, value in answer.items())
    return f"{answer:.4g}" if isinstance(answer, float) else str(answer)
