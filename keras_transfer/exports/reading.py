"""Ask a graph about samples, batch after batch, as ``load_predictor`` of each format does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.samples import Samples
from keras_transfer.exports.formats import PredictFunction

__all__ = ["counted", "joined", "on_inputs"]

Arrays = Mapping[str, np.ndarray]


def joined(answers: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Join (batch, ...) tensors of one or more batches to (n, ...) arrays, by name."""
    found = [{name: np.asarray(x) for name, x in answer.items()} for answer in answers]
    return {name: np.concatenate([answer[name] for answer in found]) for name in found[0]}


def counted(batches: Iterable[Any], total: int) -> Iterable[Any]:
    """Batches with a bar where stderr is a terminal, and the time left.

    Args:
        batches: The batches.
        total: Their number; negative: it is not known.
    """
    known = total if total >= 0 else None
    return tqdm(batches, "Export", known, leave=False, disable=None, file=sys.stderr)


def on_inputs(loading: Loading, answer: Callable[[Arrays], Arrays]) -> PredictFunction:
    """Ask a graph that takes prepared inputs.

    Args:
        loading: How examples become inputs: as in training.
        answer: From inputs by name, such as (batch, size, size, 3) float32 pixels, to tensors.
    """

    def predict(samples: Samples) -> dict[str, np.ndarray]:
        batches = plain_batches(samples, loading)
        shown = counted(batches.as_numpy_iterator(), int(batches.cardinality()))
        return joined(answer(batch) for batch in shown)

    return predict
