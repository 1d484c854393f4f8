"""What a network says of one example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_transfer.objectives.outputs import Output
from keras_transfer.objectives.rejection import UNKNOWN, rejected, unknown_of
from keras_transfer.runs.entities import WordPlaces, entities_in

__all__ = ["Prediction"]


# eq=False: comparing arrays gives an array, whose truth value raises.
@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of one example.

    Attributes:
        path: The example's file.
        scores: (units,) float64 by output: probabilities, or values of a regression; where
            unknown is an answer, also its (1,) score. None where the file cannot be used.
        outputs: The network's outputs.
        error: Why the file cannot be used; empty where it can.
        words: Where the words of a text are, for a network that labels words; else None.
    """

    path: str
    scores: Mapping[str, np.ndarray] | None
    outputs: Mapping[str, Output]
    error: str = ""
    words: WordPlaces | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, labels or targets of the only output, in order."""
        (output,) = self.outputs.values()
        return output.names

    @property
    def probabilities(self) -> np.ndarray | None:
        """(classes,) float64 of the only output; None for a file that cannot be used."""
        if self.scores is None:
            return None
        (name,) = self.outputs
        return self.scores[name]

    @property
    def label(self) -> Any:
        """The answer of the only output; None for a file that cannot be used.

        Returns:
            Name of the most probable class, or "unknown"; names of all labels that were decided
            for; or the value of a regression, by name where it has several targets; or the
            entities of a text, as ``entities_in`` gives them.
        """
        if self.scores is None:
            return None
        (answer,) = self.answers().values()
        return answer

    def answers(self) -> dict[str, Any]:
        """The answer of each output, as ``label`` gives that of the only one."""
        assert self.scores is not None
        return {
            name: UNKNOWN if self.unknown(name) else self._answer(output, self.scores[name])
            for name, output in self.outputs.items()
        }

    def _answer(self, output: Output, scores: np.ndarray) -> Any:
        if output.objective.per_token:
            assert self.words is not None, "a network that labels words takes texts"
            return entities_in(self.words, scores, output.names)
        return _answer(output, scores)

    def unknown(self, output: str | None = None) -> bool:
        """Whether the example is unlike those of training, or too unsure.

        Args:
            output: Name of an output; the first one if None.
        """
        found = rejected(self.scores or {}, output or next(iter(self.outputs)))
        return found is not None and bool(found)

    def top(self, k: int, output: str | None = None) -> list[tuple[str, float]]:
        """The k units with the highest scores, best first; of a regression all, in their order.

        "unknown" comes first where that is the answer, with its score. Labels of words have none.

        Args:
            k: How many.
            output: Name of an output; the first one if None.
        """
        if self.scores is None:
            return []
        name = output or next(iter(self.outputs))
        if self.outputs[name].objective.per_token:
            return []
        names, scores = self.outputs[name].names, self.scores[name]
        if self.outputs[name].objective.activation == "linear":
            return [(unit, float(value)) for unit, value in zip(names, scores, strict=True)]
        # Stable on the negated scores: of equal scores the first unit comes first, as in argmax.
        best = np.argsort(-scores, kind="stable").tolist()
        decision = self.outputs[name].decision
        if "threshold" in decision:  # the answer comes first, whatever its probability
            answer = int(self.outputs[name].objective.decide(scores[None], decision)[0])
            best = [answer, *(place for place in best if place != answer)]
        found = [(names[i], float(scores[i])) for i in best[:k]]
        if not self.unknown(name):
            return found
        return [(UNKNOWN, float(self.scores[unknown_of(name)][0])), *found][:k]


def _answer(output: Output, scores: np.ndarray) -> Any:
    objective, names = output.objective, output.names
    decided = objective.decide(scores[None], output.decision)[0]
    if objective.activation == "softmax":
        return names[int(decided)]
    if objective.activation == "sigmoid":
        return tuple(name for name, chosen in zip(names, decided, strict=True) if chosen)
    values = [float(value) for value in decided]
    return values[0] if len(values) == 1 else dict(zip(names, values, strict=True))
