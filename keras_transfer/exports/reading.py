"""Ask a graph about samples, batch after batch, as ``load_predictor`` of each format does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.samples import Samples
from keras_transfer.exports.formats import PredictFunction

__all__ = ["joined", "on_inputs"]

Arrays = Mapping[str, np.ndarray]


def joined(answers: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Join (batch, ...) tensors of one or more batches to (n, ...) arrays, by name."""
    found = [{name: np.asarray(x) for name, x in answer.items()} for answer in answers]
    return {name: np.concatenate([answer[name] for answer in found]) for name in found[0]}


def on_inputs(loading: Loading, answer: Callable[[Arrays], Arrays]) -> PredictFunction:
    """Ask a graph that takes prepared inputs.

    Args:
        loading: How examples become inputs: as in training.
        answer: From inputs by name, such as (batch, size, size, 3) float32 pixels, to tensors.
    """

    def predict(samples: Samples) -> dict[str, np.ndarray]:
        batches = plain_batches(samples, loading).as_numpy_iterator()
        return joined(answer(batch) for batch in batches)

    return predict
