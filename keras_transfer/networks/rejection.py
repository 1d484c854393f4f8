"""Scores of how known an example is, as layers of Keras that every format of export knows.

``max_probability``  the highest probability (Hendrycks and Gimpel 2017, arXiv:1610.02136)
``entropy``          the negative entropy, sum of p log p
``energy``           log of the sum of exp(logits) (Liu et al. 2020, arXiv:2010.03759)
``knn``              cosine to the k-th nearest training example (Sun et al. 2022, arXiv:2204.06507)
``mahalanobis``      minus the squared Mahalanobis distance to the nearest class (Lee et al. 2018,
                     arXiv:1807.03888)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_transfer.tables import Table

__all__ = ["NEIGHBOURS", "POOL", "Reference", "known_score", "pooled_of", "with_unknown"]

POOL = "pool"
"""Name of the layer whose features distances are measured in."""

NEIGHBOURS = 10


class Reference(NamedTuple):
    """What distances are measured from.

    Attributes:
        bank: (n, channels) float32 features of training examples, of length 1.
        mean: (channels,) float32.
        whitening: (channels, channels) float32: features less the mean, times it, have the
            identity as covariance within classes.
        centres: (classes, channels) float32 means of the classes, whitened.
    """

    bank: np.ndarray
    mean: np.ndarray
    whitening: np.ndarray
    centres: np.ndarray


def _max_probability(logits: Any, features: Any, reference: Reference | None) -> Any:
    return ops.max(ops.softmax(logits, axis=-1), axis=-1, keepdims=True)


def _entropy(logits: Any, features: Any, reference: Reference | None) -> Any:
    logs = ops.log_softmax(logits, axis=-1)
    return ops.sum(ops.exp(logs) * logs, axis=-1, keepdims=True)


def _energy(logits: Any, features: Any, reference: Reference | None) -> Any:
    # Not logsumexp, which not every runtime knows.
    largest = ops.max(logits, axis=-1, keepdims=True)
    return largest + ops.log(ops.sum(ops.exp(logits - largest), axis=-1, keepdims=True))


def _knn(logits: Any, features: Any, reference: Reference | None) -> Any:
    assert reference is not None
    length = ops.sqrt(ops.sum(features * features, axis=-1, keepdims=True) + 1e-12)
    cosines = _dense(reference.bank.T, None, "unknown_bank")(features / length)
    k = min(NEIGHBOURS, len(reference.bank))
    return ops.top_k(cosines, k)[0][:, k - 1 :]


def _mahalanobis(logits: Any, features: Any, reference: Reference | None) -> Any:
    assert reference is not None
    shift = -reference.mean @ reference.whitening
    whitened = _dense(reference.whitening, shift, "unknown_whitening")(features)
    centres = reference.centres
    # |x - c|^2 = |x|^2 - 2 x c + |c|^2, of which the first does not depend on the class.
    to_centres = _dense(-2 * centres.T, (centres**2).sum(axis=1), "unknown_centres")(whitened)
    nearest = ops.min(to_centres, axis=-1, keepdims=True)
    return -(ops.sum(whitened * whitened, axis=-1, keepdims=True) + nearest)


_SCORES: Table[Callable[[Any, Any, Reference | None], Any]] = Table(
    "score of reject",
    {
        "max_probability": _max_probability,
        "entropy": _entropy,
        "energy": _energy,
        "knn": _knn,
        "mahalanobis": _mahalanobis,
    },
)


def known_score(score: str, logits: Any, features: Any, reference: Reference | None = None) -> Any:
    """(batch, 1) float32: higher for examples that are more like those of training.

    Args:
        score: A row of the table above.
        logits: (batch, classes) float32.
        features: (batch, channels) float32; distances alone read them.
        reference: What distances are measured from.
    """
    return _SCORES[score](logits, features, reference)


def pooled_of(model: keras.Model) -> keras.KerasTensor | None:
    """The pooled features in front of the heads, (batch, channels); None where there are none."""
    if POOL not in {layer.name for layer in model.layers}:
        return None
    found = model.get_layer(POOL).output
    return found if len(found.shape) == 2 else None


def with_unknown(
    model: keras.Model,
    output: str,
    score: str,
    *,
    name: str,
    threshold: float,
    width: float,
    reference: Reference | None = None,
) -> keras.Model:
    """Add an output that rejects examples above 0.5.

    It is ``sigmoid((threshold - known) / width)``, a score from 0 to 1, not a probability.

    Args:
        model: From inputs by name to (batch, classes) logits by name.
        output: Name of the output.
        score: As for ``known_score``.
        name: Of the new output.
        threshold: Examples whose score is lower are rejected.
        width: Above 0.
        reference: As for ``known_score``.
    """
    logits, features = model.output[output], pooled_of(model)
    if features is not None and features.dtype != "float32":
        features = ops.cast(features, "float32")
    known = known_score(score, logits, features, reference)
    scale = keras.layers.Rescaling(
        -1 / width, threshold / width, dtype="float32", name=f"{name}_scaled"
    )
    unknown = keras.layers.Activation("sigmoid", dtype="float32", name=name)(scale(known))
    return keras.Model(model.input, {**model.output, name: unknown}, name=model.name)


def _dense(kernel: np.ndarray, bias: np.ndarray | None, name: str) -> keras.layers.Layer:
    # Not Dense: a .keras file numbers layers by their class, so that the head, which is read from
    # it when a run is resumed, would have another number.
    layer = keras.layers.EinsumDense(
        "bi,io->bo",
        kernel.shape[1],
        bias_axes=None if bias is None else "o",
        trainable=False,
        dtype="float32",
        name=name,
    )
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer
