"""The terms of a loss: output, target, loss function and weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

__all__ = ["Term", "compile_arguments"]


class Term(NamedTuple):
    """A part of the loss: ``weight * loss(target, output)``.

    Attributes:
        output: Name of the network's output.
        target: Name of the column that it is compared with.
        loss: Takes (batch, ...) targets and outputs; reduces to their weighted mean.
        weight: Factor of the term.
        metrics: Keras names, or metrics, of this output; weighted as the loss is.
    """

    output: str
    target: str
    loss: keras.losses.Loss
    weight: float = 1.0
    metrics: tuple[Any, ...] = ()


def compile_arguments(terms: Sequence[Term]) -> dict[str, Any]:
    """The arguments of ``keras.Model.compile`` for some terms."""
    weights = {term.output: term.weight for term in terms}
    return {
        "loss": {term.output: term.loss for term in terms},
        "loss_weights": weights if set(weights.values()) != {1.0} else None,
        # Not metrics: these ignore weights, and so would count examples that only pad a batch.
        "weighted_metrics": {term.output: list(term.metrics) for term in terms if term.metrics},
    }
