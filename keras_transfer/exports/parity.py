"""Whether an export answers as the model does, and the gate that it must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.errors import CheckFailed
from keras_transfer.exports.answers import Given
from keras_transfer.objectives.outputs import Output
from keras_transfer.objectives.rejection import LIMIT
from keras_transfer.tables import Table

__all__ = ["LIMITS", "NEAR", "TIE", "Comparison", "Limits", "at_threshold", "compare", "gate"]

TIE = 1e-4
"""Probabilities nearer than that are equal: which of two such classes comes first is rounding. So
is on which side of a threshold of 0.5 one lies; for others see ``at_threshold``."""

NEAR = 0.25
"""A value that moves by more than this share of its target's spread has changed. Noise below it
adds at most 0.06 variances to the mean squared error, and so takes at most about 0.06 from R2. A
MobileNetV2 tuned to two targets of photos (R2 0.63) lost 0.001 as float16, where no value moved by
more than 0.03 spreads, 0.01 as dynamic (0.18) and 0.03 as int8 (0.41; 6 % moved by more than 0.25).
"""


class Limits(NamedTuple):
    """How far an export may be from its model.

    Attributes:
        changed: Largest share of answers that may change: best classes, decisions for
            labels, values by more than ``NEAR``.
        difference: Largest difference of a probability; of a value, in spreads of its target.
    """

    changed: float
    difference: float


LIMITS: Mapping[str, Limits] = {
    "none": Limits(0.0, 1e-3),
    "float16": Limits(0.01, 0.05),
    "dynamic": Limits(0.03, 1.0),
    "int8": Limits(0.05, 1.0),
}
"""By quantization, for every objective. Without one only the order of float32 sums differs;
float16 has three digits, which deep networks add up. One example far from the others' noise says
little of an int8 network, so its probabilities are told, not judged; of its values none may be a
standard deviation off."""


class Comparison(NamedTuple):
    """How an output of an export differs from the model's.

    Attributes:
        found: JSON-ready; as ``compare`` says.
        answers: How many answers could have changed.
        text: The same for people.
    """

    found: dict[str, Any]
    answers: int
    text: str

    def passes(self, limits: Limits) -> bool:
        """Whether it is near enough; false for NaN."""
        changed = self.found["changed"] / self.answers
        return changed <= limits.changed and self.found["largest_difference"] <= limits.difference


def compare(
    output: Output,
    model: np.ndarray,
    export: Given,
    true: np.ndarray,
    unknown: np.ndarray | None = None,
) -> Comparison:
    """Hold the answers of an export against those of its model, for one output.

    ``found`` has ``examples``, ``changed`` (answers that differ) and ``largest_difference``, and

    * classification: ``accuracy`` and ``model_accuracy``; changed: another best class, or another
      by the export's own threshold, ties (``TIE``, ``at_threshold``) aside;
    * multilabel: ``decisions``, ``hamming_loss`` and ``model_hamming_loss``; changed: decisions for
      a label, by the export's own thresholds, ties (``at_threshold``) aside;
    * labels of words: as a classification of the words and the parts of them, in ``words``;
    * regression: ``values``, ``spread`` by target, ``mae`` and ``model_mae`` by target; changed:
      values that move by more than ``NEAR`` spreads; differences are in spreads.

    A metric is None where no true value is known. The spread is the standard deviation of the true
    values; where these are equal or not known, their or the model's largest magnitude.

    Args:
        output: What is predicted, with which decision.
        model: (n, units) scores by Keras.
        export: Of the same examples by the export.
        true: True values as in ``Labels.values``.
        unknown: (n,) score of unknown by Keras, where that is an answer; ``found`` then has
            ``rejected`` and ``model_rejected``, and a rejection that differs is a changed answer.
    """
    compared = _words if output.objective.per_token else _COMPARED[output.objective.activation]
    found = compared(output, model, export, true)
    return found if unknown is None else _with_unknown(found, model, export, unknown)


def at_threshold(output: Output, scores: np.ndarray) -> np.ndarray:
    """(n, labels) bool, (n, 1) of a class: whether rounding decides on which side a score lies.

    It is within ``4 TIE t (1 - t)`` of its threshold t, that is 4 ``TIE`` of logits, or two steps
    of float32: with a distance for all thresholds, all scores would be at one that is lower.

    Args:
        output: With thresholds, or of labels, whose default is 0.5.
        scores: (n, units) float probabilities.
    """
    decision = output.decision
    thresholds = np.array(decision.get("threshold", decision.get("thresholds", 0.5)))
    if "threshold" in decision:
        scores = scores[:, [decision["positive"]]]
    steps = 2 * np.spacing(thresholds.astype("float32")).astype("float64")
    # As float32, since these are what is compared.
    scores = scores.astype("float32").astype("float64")
    return np.abs(scores - thresholds) <= 4 * TIE * thresholds * (1 - thresholds) + steps


def _classes(output: Output, model: np.ndarray, export: Given, true: np.ndarray) -> Comparison:
    objective, decision = output.objective, output.decision
    theirs = objective.decide(model, decision)
    if export.decided is None:
        ours = objective.decide(export.scores, decision)
    else:
        ours = export.decided.argmax(axis=1)
    if "threshold" in decision:
        changed = (ours != theirs) & ~at_threshold(output, model)[:, 0]
    else:
        changed = model.max(axis=1) - model[np.arange(len(model)), ours] > TIE
    known = objective.known(true)
    found = {
        "examples": len(model),
        "changed": int(changed.sum()),
        "largest_difference": _largest(np.abs(model - export.scores)),
        "accuracy": _mean((ours == true)[known]),
        "model_accuracy": _mean((theirs == true)[known]),
    }
    text = (
        f"another class for {found['changed']} of {len(model)} examples, probabilities up to "
        f"{found['largest_difference']:.2g} apart; accuracy {_shown(found['accuracy'])}, the "
        f"model's {_shown(found['model_accuracy'])}"
    )
    return Comparison(found, len(model), text)


def _words(output: Output, model: np.ndarray, export: Given, true: np.ndarray) -> Comparison:
    places = true[:, : model.shape[1]]
    at = places != -1  # the others have no part in any answer
    ours, theirs, labels = export.scores[at], model[at], places[at]
    rows, best, measured = np.arange(len(ours)), ours.argmax(axis=1), labels >= 0
    found = {
        "examples": len(model),
        "words": len(ours),
        "changed": int((theirs.max(axis=1) - theirs[rows, best] > TIE).sum()),
        "largest_difference": _largest(np.abs(theirs - ours)),
        "accuracy": _mean((best == labels)[measured]),
        "model_accuracy": _mean((theirs.argmax(axis=1) == labels)[measured]),
    }
    text = (
        f"another label for {found['changed']} of {len(ours)} words of {len(model)} examples, "
        f"probabilities up to {found['largest_difference']:.2g} apart; accuracy "
        f"{_shown(found['accuracy'])}, the model's {_shown(found['model_accuracy'])}"
    )
    return Comparison(found, len(ours), text)


def _with_unknown(
    compared: Comparison, model: np.ndarray, export: Given, unknown: np.ndarray
) -> Comparison:
    assert export.unknown is not None, "it was read"
    ours, theirs = export.unknown > LIMIT, unknown > LIMIT
    other = (ours != theirs) & (np.abs(unknown - LIMIT) > TIE)
    apart = np.abs(unknown - export.unknown)
    # Of an example that both reject, the best class is no answer.
    rows, best = np.arange(len(model)), export.scores.argmax(axis=1)
    classes = (model.max(axis=1) - model[rows, best] > TIE) & ~(ours & theirs)
    largest = _largest(np.append(apart, compared.found["largest_difference"]))
    found = compared.found | {
        "changed": int((classes | other).sum()),
        "largest_difference": largest,
        "rejected": float(ours.mean()),
        "model_rejected": float(theirs.mean()),
    }
    text = (
        f"{compared.text}; another decision for unknown: {int(other.sum())}, scores of unknown up "
        f"to {_largest(apart):.2g} apart"
    )
    return Comparison(found, compared.answers, text)


def _labels(output: Output, model: np.ndarray, export: Given, true: np.ndarray) -> Comparison:
    objective, decision = output.objective, output.decision
    ours = objective.decide(export.scores, decision) if export.decided is None else export.decided
    theirs = objective.decide(model, decision)
    # Nearness is measured by the model's scores, since the export's are what is tested.
    changed = (ours != theirs) & ~at_threshold(output, model)
    known = objective.known(true)
    found = {
        "examples": len(model),
        "decisions": model.size,
        "changed": int(changed.sum()),
        "largest_difference": _largest(np.abs(model - export.scores)),
        "hamming_loss": _mean((ours != true)[known]),
        "model_hamming_loss": _mean((theirs != true)[known]),
    }
    text = (
        f"another decision for {found['changed']} of {model.size} labels of {len(model)} "
        f"examples, probabilities up to {found['largest_difference']:.2g} apart; Hamming loss "
        f"{_shown(found['hamming_loss'])}, the model's {_shown(found['model_hamming_loss'])}"
    )
    return Comparison(found, model.size, text)


def _values(output: Output, model: np.ndarray, export: Given, true: np.ndarray) -> Comparison:
    known = output.objective.known(true)
    spread = _spread(true[known], model)
    apart = np.abs(model - export.scores) / spread
    found = {
        "examples": len(model),
        "values": model.size,
        "spread": spread.tolist(),
        # Not `apart > NEAR`, which would not count NaN.
        "changed": int((~(apart <= NEAR)).sum()),
        "largest_difference": _largest(apart),
        "mae": _errors(export.scores[known], true[known]),
        "model_mae": _errors(model[known], true[known]),
    }
    names = ", ".join(
        f"{name} {_shown(ours)}, the model's {_shown(theirs)}"
        for name, ours, theirs in zip(
            output.names,
            *(found[key] or [None] * len(spread) for key in ("mae", "model_mae")),
            strict=True,
        )
    )
    text = (
        f"{found['changed']} of {model.size} values moved by more than {NEAR:g} standard "
        f"deviations of their target, by {found['largest_difference']:.2g} at most; mean "
        f"absolute error of {names}"
    )
    return Comparison(found, model.size, text)


_COMPARED: Table[Callable[[Output, np.ndarray, Given, np.ndarray], Comparison]] = Table(
    "activation", {"softmax": _classes, "sigmoid": _labels, "linear": _values}
)


def _spread(true: np.ndarray, model: np.ndarray) -> np.ndarray:
    """(targets,) float64 above 0."""
    # float64: a float32 sum of large values loses the deviation.
    known = np.asarray(true if len(true) else model, "float64")
    spread, largest = known.std(axis=0), np.abs(known).max(axis=0)
    return np.where(spread > 0, spread, np.where(largest > 0, largest, 1.0))


def _largest(apart: np.ndarray) -> float:
    return float(apart.max())


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if values.size else None


def _errors(scores: np.ndarray, true: np.ndarray) -> list[float] | None:
    return np.abs(scores - true).mean(axis=0).tolist() if len(true) else None


def _shown(metric: float | None) -> str:
    return "not known" if metric is None else f"{metric:.4g}"


def gate(compared: Mapping[str, Comparison], limits: Limits) -> None:
    """Let an export through whose outputs are all near enough.

    Args:
        compared: By the name of the output.
        limits: How near that is.

    Raises:
        CheckFailed: One is not.
    """
    failed = {name: one.text for name, one in compared.items() if not one.passes(limits)}
    if not failed:
        return
    several = len(compared) > 1
    told = "; ".join(f"output {name}: {text}" if several else text for name, text in failed.items())
    raise CheckFailed(
        f"The export does not answer as the model does: {told}. The limits are "
        f"{limits.changed:.1%} changed and a difference of {limits.difference:.2g}. Nothing was "
        "written. Allow more by --max-changed or --max-difference, or quantize less."
    )
