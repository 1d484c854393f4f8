"""From batches of inputs to the outputs and scores of a network."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit, softmax
from tqdm import tqdm

from keras_transfer.tables import Table

__all__ = ["ACTIVATIONS", "agree", "predict", "probabilities"]

ACTIVATIONS: Table[Callable[[np.ndarray], np.ndarray]] = Table(
    "activation",
    {
        "softmax": lambda outputs: softmax(outputs, axis=-1),
        # SciPy's forms do not overflow for large logits.
        "sigmoid": expit,
        "linear": lambda outputs: outputs,
    },
)
"""From a network's outputs, (..., units) float64, to scores."""


def predict(
    model: keras.Model, batches: Iterable[Any], title: str = "", *, graph: bool = True
) -> dict[str, np.ndarray]:
    """Run a network over batches, in their order.

    Args:
        model: From inputs by name to outputs by name.
        batches: Batches of inputs, or tuples that begin with the inputs.
        title: Title of the progress bar on a terminal's stderr.
        graph: Whether to compile a graph first, which is faster for more than a few batches.

    Returns:
        (n, ...) float64 outputs by name: logits, before any activation.
    """
    # Not model.predict, which keeps a graph on the model and shows a progress bar of its own.
    forward = functools.partial(model, training=False)
    forward = tf.function(forward) if graph else forward
    # disable=None: no bar where stderr is no terminal.
    bar = tqdm(batches, desc=title, leave=False, disable=None, file=sys.stderr)
    first = (batch[0] if isinstance(batch, tuple) else batch for batch in bar)
    collected = [{name: x.numpy() for name, x in forward(inputs).items()} for inputs in first]
    return {
        # float64, so that metrics of the arrays equal those of the file.
        name: np.concatenate([outputs[name] for outputs in collected]).astype("float64")
        for name in collected[0]
    }


def probabilities(
    model: keras.Model, batches: Iterable[Any], title: str = "", *, graph: bool = True
) -> np.ndarray:
    """Run a classifier with one output over batches, in their order.

    Args:
        model: From inputs by name to logits by name.
        batches: As for ``predict``, and so are ``title`` and ``graph``.
        title: Title of the progress bar.
        graph: Whether to compile a graph first.

    Returns:
        (n, classes) float64 probabilities; each row sums to 1. (n, members, classes) if the model
        has the logits of several members.
    """
    (logits,) = predict(model, batches, title, graph=graph).values()
    return softmax(logits, axis=-1)


def agree(some: np.ndarray, others: np.ndarray, tolerance: float = 0.05) -> bool:
    """Whether two ways to compute the same probabilities agree.

    Args:
        some: (n, classes) probabilities.
        others: (n, classes) probabilities.
        tolerance: Largest difference of a probability; and the largest margin between the two
            classes where the predicted class differs.
    """
    rows = np.arange(len(some))
    margin = others.max(axis=1) - others[rows, some.argmax(axis=1)]
    return bool(np.abs(some - others).max() <= tolerance and margin.max() <= tolerance)
