"""Multinomial logistic regression by scikit-learn on features, regularised by cross-validation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from keras_transfer.data.stratify import choose, deal, proportional

__all__ = ["Examples", "LinearHead", "fit_logistic"]

GRID = tuple(10.0 ** (exponent / 2) for exponent in range(-10, 5))
"""Values of C: from 1e-5 to 100 in half decades."""

FALLBACK = 0.01
"""C where no class has two examples that may lie on two sides of a fold."""

FOLDS = 5
"""Most folds."""

MAX_ROWS = 3000
"""Most examples that choose C; all are used for the solution."""

ITERATIONS = 1000


class Examples(NamedTuple):
    """Examples to learn from.

    Attributes:
        features: (views, n, channels) float32; the first view is the clean one.
        labels: (n,) int in [0, classes).
        weights: (n,) float, above 0: weight of each example in the loss.
        families: (n,) int: examples with the same number stay in one fold.
    """

    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    families: np.ndarray

    def take(self, where: np.ndarray) -> Examples:
        """Some of the examples: (n,) bool, or (m,) int indices."""
        return Examples(self.features[:, where], *(column[where] for column in self[1:]))


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
def fit_logistic(examples: Examples, classes: int, seed: int) -> LinearHead:
    """Solve a softmax classifier, with C by stratified cross-validation.

    Minimises C * sum_i w_i (-log softmax(x_i W + b)[y_i]) + ||W||^2 / 2 by L-BFGS on standardised
    features x; then folds the standardisation into kernel and bias, in float64. C is the value of
    ``GRID`` with the lowest weighted log loss on held-out examples in the clean view. A held-out
    example whose class its fold has no other example of is not counted.

    Args:
        examples: Two classes of them at least.
        classes: Number of classes; the probability of those without examples is almost 0.
        seed: Random seed of the folds.
    """
    views, n, channels = examples.features.shape
    rows = examples.features.reshape(-1, channels)
    scaler = StandardScaler().fit(rows, sample_weight=np.tile(examples.weights, views))
    scaled = examples._replace(features=scaler.transform(rows).reshape(views, n, channels))
    few = _subset(scaled, seed)
    c, log_loss, folds = _choose_c(few, seed)
    model = _model(c).set_params(tol=1e-5)
    _fit(model, scaled)
    kernel, bias = _softmax_weights(model, classes)
    kernel /= scaler.scale_[:, None]
    bias -= scaler.mean_ @ kernel
    return LinearHead(
        kernel.astype("float32"),
        bias.astype("float32"),
        *(c, log_loss, folds, len(few.labels)),
        converged=int(model.n_iter_.max()) < ITERATIONS,
    )


def _subset(examples: Examples, seed: int) -> Examples:
    """Up to ``MAX_ROWS`` examples, stratified: C is the prior variance, which needs no more."""
    if len(examples.labels) <= MAX_ROWS:
        return examples
    counts = np.bincount(examples.labels)
    quota = proportional(counts, max(MAX_ROWS, 2 * len(counts)), 2)
    return examples.take(choose(examples.labels, quota, np.random.default_rng(seed)))


def _choose_c(examples: Examples, seed: int) -> tuple[float, float | None, int]:
    """C, its log loss and the number of folds."""
    folds = [*_folds(examples, seed)]
    if not folds:
        return FALLBACK, None, 0
    models = [_model(GRID[0]) for _ in folds]
    losses: list[float] = []
    for c in GRID:
        pairs = [
            _held_out(model.set_params(C=c), *fold)
            for model, fold in zip(models, folds, strict=True)
        ]
        total, weight = np.sum(pairs, axis=0)
        losses.append(float(total / weight))
        # The loss falls and then rises with C, and large C take the most iterations.
        if losses[-1] > min(losses):
            break
    best = int(np.argmin(losses))
    return GRID[best], losses[best], len(folds)


def _folds(examples: Examples, seed: int) -> Iterator[tuple[Examples, Examples]]:
    """Training and held-out examples of each fold; none where no class can be divided."""
    pairs = np.unique(np.stack([examples.labels, examples.families]), axis=1)
    count = min(FOLDS, int(np.bincount(pairs[0]).max()))
    if count < 2:
        return
    n = len(examples.labels)
    sizes = [n // count] * (count - 1)  # the last fold takes the rest
    fold = deal(examples.labels, examples.families, sizes, np.random.default_rng(seed))
    for number in range(count):
        train, held = examples.take(fold != number), examples.take(fold == number)
        known = np.isin(held.labels, train.labels)
        if known.any() and len(np.unique(train.labels)) > 1:
            yield train, held.take(known)


def _held_out(model: LogisticRegression, train: Examples, held: Examples) -> tuple[float, float]:
    """Sums of the weighted log loss, and of the weights, of held-out examples."""
    _fit(model, train)
    kernel, bias = _softmax_weights(model, 1 + int(model.classes_.max()))
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


ABSENT = math.log(1e-9)
"""Logit of a class without examples. The others have sum 0, so the largest of them is above."""


def _softmax_weights(model: LogisticRegression, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(channels, classes) and (classes,) float64 weights of logits."""
    coefficients, intercepts = (x.astype("float64") for x in (model.coef_, model.intercept_))
    if len(model.classes_) == 2:  # one row: the difference between the two logits
        coefficients, intercepts = (np.stack([-x[0], x[0]]) / 2 for x in (coefficients, intercepts))
    kernel, bias = np.zeros((coefficients.shape[1], classes)), np.full(classes, ABSENT)
    kernel[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
    return kernel, bias
