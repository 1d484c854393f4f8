"""Ratio of the densities of target and source, by a classifier that tells the domains apart."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from keras_transfer.domains.checks import feature_pair

__all__ = ["density_ratios"]

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C, the inverse of the L2 penalty. More than 1 makes no difference where domains
overlap; where they do not, it lets the weights of a few rows grow without bound."""
FOLDS = 5
ITERATIONS = 1000
LOWEST = -50.0
"""Least log w, so that no sum of weights is 0."""


# One thread, as in `distances`.
@threadpool_limits.wrap(limits=1)
def density_ratios(
    source: np.ndarray,
    target: np.ndarray,
    validation: np.ndarray | None = None,
    *,
    seed: int = 0,
) -> np.ndarray:
    """w(x) = p_target(x) / p_source(x) of source rows (Bickel et al., ICML 2007).

    By Bayes' rule, with logistic regression on standardized features for P(domain | x):

        w(x) = n_source / n_target * P(target | x) / P(source | x)

    C is chosen by stratified cross-validation with the log loss, which is lowest for the true
    odds, that is, for the true ratio. Weights are truncated at the square root of their number
    (Ionides, JCGS 2008), so that one outlier does not have all the weight.

    Without ``validation`` the rows of ``source`` are weighted, each by a classifier that was not
    fitted to it: a classifier knows its own rows as source rows, and would give them weights that
    are too low.

    Args:
        source: (n, channels) float, n >= 2: rows that the classifier learns from.
        target: (m, channels) float, m >= 2.
        validation: (v, channels) float, v >= 2: other source rows, to be weighted in place of
            ``source``.
        seed: Random seed of the folds.

    Returns:
        (n,) or (v,) float64, from 0, exclusive, to the square root of their number; mean about 1
        where the domains overlap.

    Raises:
        BadData: See ``feature_pair``.
        CheckFailed: A feature is NaN or infinite.
    """
    source, target = feature_pair(source, target)
    rows = np.concatenate([source, target])
    domain = np.repeat([0, 1], [len(source), len(target)])
    scaler = StandardScaler().fit(rows)
    scaled = scaler.transform(rows)
    with warnings.catch_warnings():
        # Where the domains do not overlap: more steps would only make the odds more extreme.
        warnings.simplefilter("ignore", ConvergenceWarning)
        c, logits = _held_out(scaled, domain, seed)
        if validation is None:
            logits = logits[: len(source)]
        else:
            validation, _ = feature_pair(validation, target)
            classifier = LogisticRegression(C=c, max_iter=ITERATIONS).fit(scaled, domain)
            logits = classifier.decision_function(scaler.transform(validation))
    logs = logits + np.log(len(source) / len(target))
    return np.exp(np.clip(logs, LOWEST, np.log(len(logs)) / 2))


def _held_out(rows: np.ndarray, domain: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """The best C, and with it the log odds of the target for each row when it was held out."""
    count = min(FOLDS, *np.bincount(domain))
    folds = [*StratifiedKFold(count, shuffle=True, random_state=seed).split(rows, domain)]
    # Warm: the solution for one C is the start for the next.
    models = [LogisticRegression(warm_start=True, max_iter=ITERATIONS) for _ in folds]
    lowest, best = np.inf, (GRID[0], np.zeros(len(rows)))
    for c in GRID:
        logits = np.empty(len(rows))
        for model, (train, held) in zip(models, folds, strict=True):
            model.set_params(C=c).fit(rows[train], domain[train])
            logits[held] = model.decision_function(rows[held])
        loss = np.logaddexp(0, np.where(domain == 1, -logits, logits)).mean()
        # The loss falls and then rises with C, and large C take the most iterations.
        if loss >= lowest:
            break
        lowest, best = loss, (c, logits)
    return best
