"""Multinomial logistic regression by scikit-learn on features, regularised by cross-validation."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from keras_transfer.learners.examples import Examples, folds, subset
from keras_transfer.learners.linear import softmax_weights
from keras_transfer.learners.scaling import fitted_scaler

__all__ = ["LinearHead", "fit_logistic"]

GRID = tuple(10.0 ** (exponent / 2) for exponent in range(-10, 5))
"""Values of C: from 1e-5 to 100 in half decades."""

FALLBACK = 0.01
"""C where no class has two examples that may lie on two sides of a fold."""

ITERATIONS = 1000


class LinearHead(NamedTuple):
    """A solved linear head: logits = features @ kernel + bias.

    Attributes:
        kernel: (channels, classes) float32.
        bias: (classes,) float32.
        c: Inverse strength of the L2 penalty: C of scikit-learn, on standardised features.
        log_loss: Mean log loss of the held-out examples at C; None where C is the fallback.
        folds: Number of folds that chose C; 0 where it is the fallback.
        rows: Number of examples that chose C.
        converged: Whether the solver reached its tolerance.
    """

    kernel: np.ndarray
    bias: np.ndarray
    c: float
    log_loss: float | None
    folds: int
    rows: int
    converged: bool


# On a machine with other work, threads of BLAS that wait for each other take 10 to 50 times as long
# for matrices of this size; and with one thread, the last bits do not depend on the machine's load.
@threadpool_limits.wrap(limits=1)
def fit_logistic(
    examples: Examples, classes: int, seed: int, held: Examples | None = None
) -> LinearHead:
    """Solve a softmax classifier, with C by stratified cross-validation.

    Minimises C * sum_i w_i (-log softmax(x_i W + b)[y_i]) + ||W||^2 / 2 by L-BFGS on standardised
    features x; then folds the standardisation into kernel and bias, in float64. C is the value of
    ``GRID`` with the lowest weighted log loss on held-out examples in the clean view. A held-out
    example whose class its fold has no other example of is not counted.

    Args:
        examples: Two classes of them at least.
        classes: Number of classes; the probability of those without examples is almost 0.
        seed: Random seed of the folds.
        held: Choose C in place of folds: where the features were trained on the labels of the
            examples, no fold of these is held out.
    """
    views, n, channels = examples.features.shape
    rows = examples.features.reshape(-1, channels)
    scaler = fitted_scaler(rows, np.tile(examples.weights, views))
    scaled = examples._replace(features=scaler.transform(rows).reshape(views, n, channels))
    few = subset(scaled, seed)  # C is the prior variance, which needs no more
    if held is not None:
        given = held.features.reshape(-1, channels)
        held = held._replace(features=scaler.transform(given).reshape(held.features.shape))
    c, log_loss, count = _choose_c(few, seed, held)
    model = _model(c).set_params(tol=1e-5)
    _fit(model, scaled)
    kernel, bias = softmax_weights(model, classes)
    kernel /= scaler.scale_[:, None]
    bias -= scaler.mean_ @ kernel
    return LinearHead(
        kernel.astype("float32"),
        bias.astype("float32"),
        *(c, log_loss, count, len(few.labels)),
        converged=int(model.n_iter_.max()) < ITERATIONS,
    )


def _choose_c(
    examples: Examples, seed: int, held: Examples | None
) -> tuple[float, float | None, int]:
    """C, its log loss and the number of folds."""
    pairs = [*folds(examples, seed)] if held is None else [(examples, held)]
    if not pairs:
        return FALLBACK, None, 0
    models = [_model(GRID[0]) for _ in pairs]
    losses: list[float] = []
    for c in GRID:
        losses_and_weights = [
            _held_out(model.set_params(C=c), *fold)
            for model, fold in zip(models, pairs, strict=True)
        ]
        total, weight = np.sum(losses_and_weights, axis=0)
        losses.append(float(total / weight))
        # The loss falls and then rises with C, and large C take the most iterations.
        if losses[-1] > min(losses):
            break
    best = int(np.argmin(losses))
    return GRID[best], losses[best], len(pairs)


def _held_out(model: LogisticRegression, train: Examples, held: Examples) -> tuple[float, float]:
    """Sums of the weighted log loss, and of the weights, of held-out examples."""
    _fit(model, train)
    kernel, bias = softmax_weights(model, 1 + int(model.classes_.max()))
    logs = log_softmax(held.features[0] @ kernel + bias, axis=1)
    losses = -logs[np.arange(len(logs)), held.labels]
    return float(losses @ held.weights), float(held.weights.sum())


def _model(c: float) -> LogisticRegression:
    # Warm: the solution for one C is the start for the next, where most is done already.
    return LogisticRegression(C=c, max_iter=ITERATIONS, warm_start=True)


def _fit(model: LogisticRegression, examples: Examples) -> None:
    views, _, channels = examples.features.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` says so
        model.fit(
            examples.features.reshape(-1, channels),
            np.tile(examples.labels, views),
            # All views of an example together weigh as much as the example.
            sample_weight=np.tile(examples.weights / views, views),
        )
