"""From batches of inputs to the outputs and scores of a network."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit, softmax
from tqdm import tqdm

from keras_transfer.tables import Table

__all__ = ["ACTIVATIONS", "agree", "collected", "compiled", "predict", "probabilities"]

Forward = Callable[[Any], Mapping[str, tf.Tensor]]
"""From a batch of inputs to outputs by name."""

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
    forward = compiled(model) if graph else functools.partial(model, training=False)
    return collected(forward, batches, title)


def compiled(model: keras.Model) -> Forward:
    """A network's inference as a graph, which is traced at the first batch."""
    # Not model.predict, which keeps a graph on the model and shows a progress bar of its own.
    return tf.function(functools.partial(model, training=False))


def collected(forward: Forward, batches: Iterable[Any], title: str = "") -> dict[str, np.ndarray]:
    """Run a network over batches, as ``predict`` does.

    Args:
        forward: As ``compiled`` gives it.
        batches: As for ``predict``, and so is ``title``.
        title: Title of the progress bar.
    """
    # disable=None: no bar where stderr is no terminal.
    bar = tqdm(batches, desc=title, leave=False, disable=None, file=sys.stderr)
    first = (batch[0] if isinstance(batch, tuple) else batch for batch in bar)
    outputs = [{name: x.numpy() for name, x in forward(inputs).items()} for inputs in first]
    return {
        # float64, so that metrics of the arrays equal those of the file.
        name: np.concatenate([batch[name] for batch in outputs]).astype("float64")
        for name in outputs[0]
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
