"""Criteria that choose settings, epochs and methods of adaptation without target labels.

Each takes the evidence of one model and gives one number: higher is better. Compare numbers of one
criterion only, for models that were evaluated on the same examples.

No criterion finds every failure, so look at several. The first three read predictions of the
target only, the others labels of the source. None sees that two classes of the target have changed
places. docs/adaptation.md has a table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from threadpoolctl import threadpool_limits

from keras_transfer.domains.accuracy_estimates import row_entropies
from keras_transfer.domains.checks import check_labelled, check_probabilities, feature_pair
from keras_transfer.domains.density_ratio import density_ratios
from keras_transfer.errors import BadData
from keras_transfer.tables import Table

__all__ = [
    "CRITERIA",
    "Criterion",
    "Evidence",
    "Fit",
    "deep_embedded",
    "deep_embedded_risk",
    "importance_weighted",
    "information_maximization",
    "negative_entropy",
    "reverse_validation",
    "soft_neighborhood_density",
    "source_accuracy",
]

TEMPERATURE = 0.05
"""Of the soft neighbourhoods, as in the paper."""
BLOCK = 4_000_000
"""Similarities that are in memory at once: 32 MB, for each of a few arrays."""
FLOOR = 1e-7
"""Least probability in a logarithm, that of Keras: one row with 0 is not an infinite loss."""
EQUAL = 0.01
"""Weights whose standard deviation is below this share of their mean count as equal."""
LOGIT_VARIANCE = 10.0
"""Prior variance of the logits in reverse validation, for any number of features."""


class Evidence(NamedTuple):
    """What one model computes of examples of both domains.

    Features are the inputs of the model's head. Criteria that read only probabilities accept any
    features.

    Attributes:
        source_features: (n, channels) float, of source examples that were not trained on.
        source_probabilities: (n, classes) float, of the same examples.
        source_labels: (n,) int, of the same examples.
        target_features: (m, channels) float.
        target_probabilities: (m, classes) float, of the same examples.
        source_train_features: (s, channels) float, of other source examples, from which density
            ratios are learnt; None: from those of ``source_features``, by cross-fitting.
    """

    source_features: np.ndarray
    source_probabilities: np.ndarray
    source_labels: np.ndarray
    target_features: np.ndarray
    target_probabilities: np.ndarray
    source_train_features: np.ndarray | None = None


Criterion = Callable[[Evidence], float]
Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
"""From (n, channels) features and (n,) int labels to a function from features to labels."""


def information_maximization(evidence: Evidence) -> float:
    """Mutual information of target examples and predictions (Bridle et al., NIPS 1991).

        H(mean p) - mean H(p)

    H is the entropy, and means are over target examples: each prediction is certain, and the
    classes are all in use (Shi & Sha, ICML 2012; Liang et al., ICML 2020, train by it). Plain
    entropy is best for a model that predicts one class for all; this is 0 then. It prefers equal
    shares of the classes, so it is wrong where the target's are very unequal.

    Musgrave, Belongie & Lim (arXiv:2208.07360) compared eight validators, this one not among them,
    on a million checkpoints: two of their three new ones, of which BNM rewards certainty and
    diversity as this does, were best in various settings, and in many a simple baseline was.

    Returns:
        From 0 to log(classes).

    Raises:
        BadData: There are no target examples.
        CheckFailed: Rows are no probabilities.
    """
    target = check_probabilities("target", evidence.target_probabilities, None)
    return float(row_entropies(target.mean(axis=0)) - row_entropies(target).mean())


def negative_entropy(evidence: Evidence) -> float:
    """Negative mean entropy of the target's predictions (Morerio et al., ICLR 2018).

        -mean H(p) = 1/m sum over i, c of p_ic log p_ic

    (arXiv:1711.10288.) Best, 0, for a model that is certain, also where it is always wrong, and
    where it predicts one class for all: see ``information_maximization``.

    Returns:
        From -log(classes) to 0.

    Raises:
        BadData: There are no target examples.
        CheckFailed: Rows are no probabilities.
    """
    target = check_probabilities("target", evidence.target_probabilities, None)
    return float(-row_entropies(target).mean())


# One thread, as in `distances`.
@threadpool_limits.wrap(limits=1)
def soft_neighborhood_density(evidence: Evidence) -> float:
    """Soft neighbourhood density, SND (Saito et al., ICCV 2021, arXiv:2108.10860).

    The mean entropy of each target example's similarities to all others:

        S_ij = <p_i / |p_i|, p_j / |p_j|> / 0.05,   P_i = softmax of S_ij over j ≠ i
        SND = 1/m sum over i of H(P_i)

    It is high where each example has many neighbours with the same prediction. Equal predictions
    for all examples give the highest value of all, log(m - 1), so it does not see a collapse to
    one class. It depends on m: compare models on the same examples.

    Returns:
        From 0 to log(m - 1).

    Raises:
        BadData: There are fewer than two target examples.
        CheckFailed: Rows are no probabilities.
    """
    rows = normalize(check_probabilities("target", evidence.target_probabilities, None))
    if len(rows) < 2:
        raise BadData(
            "There is one target example, without neighbours. Give two or more examples of the "
            "target."
        )
    size = max(BLOCK // len(rows), 1)
    starts = range(0, len(rows), size)
    return float(sum(_neighbor_entropies(rows, start, size) for start in starts) / len(rows))


def _neighbor_entropies(rows: np.ndarray, start: int, size: int) -> float:
    """Sum of H(P_i) over a block of rows of length 1."""
    block = rows[start : start + size]
    # No similarity is above 1: with 1 subtracted, no exponential overflows.
    exponents = (block @ rows.T - 1) / TEMPERATURE
    weights = np.exp(exponents)
    own = np.arange(len(block))
    weights[own, start + own] = 0
    sums = weights.sum(axis=1)
    return float((np.log(sums) - np.einsum("ij,ij->i", weights, exponents) / sums).sum())


def source_accuracy(evidence: Evidence) -> float:
    """Accuracy on the source, which says nothing about the target; the baseline of all criteria.

    It finds models that adaptation has damaged. Of models that are equally good on the source it
    chooses by chance.

    Returns:
        From 0 to 1.

    Raises:
        BadData: There are no source examples, or a label is no class.
        CheckFailed: Rows are no probabilities.
    """
    probabilities, labels = _source(evidence)
    return float((probabilities.argmax(axis=1) == labels).mean())


def importance_weighted(evidence: Evidence) -> float:
    """Importance-weighted validation (Sugiyama et al., JMLR 8, 2007): negative weighted log loss.

        -sum over i of w_i loss_i / sum over i of w_i,   w_i = p_target(x_i) / p_source(x_i)

    over source examples, with loss_i = -log p_i[label_i] and w by ``density_ratios`` of features.
    The weights are self-normalized: the paper divides by n, which is the mean of the true w but not
    of estimated ones. It is right under covariate shift, where p(label | x) is the same in both
    domains. If the features of the domains hardly overlap, a few source rows have all the weight,
    (sum w)² / sum w² of them, and the number is mostly chance.

    Returns:
        0 or less.

    Raises:
        BadData: There are too few examples, a label is no class, or numbers of features differ.
        CheckFailed: Rows are no probabilities, or a feature is NaN or infinite.
    """
    weights, losses = _weights_and_losses(evidence)
    return float(-(weights @ losses) / weights.sum())


def deep_embedded(evidence: Evidence) -> float:
    """Deep embedded validation, DEV (You et al., ICML 2019): negative risk.

    Importance-weighted log loss with a control variate; see ``deep_embedded_risk`` for its formula
    and ``importance_weighted`` for w and its limits. A control variate reduces the variance from
    weights that are unequal, not the error of estimated weights.

    Returns:
        Usually 0 or less; the control variate can make it positive.

    Raises:
        BadData: There are too few examples, a label is no class, or numbers of features differ.
        CheckFailed: Rows are no probabilities, or a feature is NaN or infinite.
    """
    return -deep_embedded_risk(*_weights_and_losses(evidence))


def deep_embedded_risk(weights: np.ndarray, losses: np.ndarray) -> float:
    """Risk on the target from density ratios and losses of source examples (You et al. 2019).

        mean(WL) + eta mean(W) - eta,   eta = -Cov(WL, W) / Var(W)

    W_i are the weights, and (WL)_i their products with the losses. The expectation of W is 1, so
    that eta changes no expectation; this eta makes the variance lowest. Where weights differ by
    less than 1 % (standard deviation by mean) there is nothing to gain, and the quotient is mostly
    rounding errors, of any size: eta is 0.

    Args:
        weights: (n,) float, not normalized, n >= 2.
        losses: (n,) float.
    """
    products, mean = weights * losses, weights.mean()
    if weights.std() < EQUAL * mean:
        return float(products.mean())
    deviations = weights - mean
    eta = -(deviations @ products) / (deviations @ deviations)
    return float(products.mean() + eta * (mean - 1))


def reverse_validation(evidence: Evidence, fit: Fit | None = None) -> float:
    """Reverse (circular) validation (Zhong et al., ECML PKDD 2010), on fixed features.

    A second classifier learns the target with the model's predictions as labels, and is evaluated
    on the source:

        1/n #{g(x_i) = label_i},   g = fit(target features, argmax p of the target)

    Ganin et al. (JMLR 17, 2016, section 5.1.1) train the adapted network in reverse, from the
    target with predicted labels to the source without labels. Here features stay as the model has
    computed them, so this misses whether the same training would also find the way back. As the
    predictions follow from the features, g is often close to the model's own head: two classes of
    the target that have changed places do not lower the value.

    Args:
        evidence: Of the model.
        fit: Learner; None: logistic regression on features that are standardized by the target,
            C = 10 / channels.

    Returns:
        From 0 to 1. Where the model predicts one class for the target, the share of this class in
        the source.

    Raises:
        BadData: There are too few examples, a label is no class, or numbers of features differ.
        CheckFailed: Rows are no probabilities, or a feature is NaN or infinite.
    """
    probabilities, labels, source, target = _checked(evidence)
    classes = probabilities.shape[1]
    rows = check_probabilities("target", evidence.target_probabilities, classes)
    predicted = rows.argmax(axis=1)
    if (predicted == predicted[0]).all():
        return float((labels == predicted[0]).mean())
    return float(((fit or _logistic)(target, predicted)(source) == labels).mean())


@threadpool_limits.wrap(limits=1)
def _logistic(features: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    # C is the prior variance of a coefficient, and logits are sums over features.
    model = LogisticRegression(C=LOGIT_VARIANCE / features.shape[1], max_iter=1000)
    return make_pipeline(StandardScaler(), model).fit(features, labels).predict


def _weights_and_losses(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """(n,) density ratios and (n,) log losses of the source examples."""
    probabilities, labels, source, target = _checked(evidence)
    losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], FLOOR))
    train = evidence.source_train_features
    if train is None:
        return density_ratios(source, target), losses
    return density_ratios(train, target, source), losses


def _checked(evidence: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, labels and features of the source; features of the target."""
    probabilities, labels = _source(evidence)
    source, target = feature_pair(evidence.source_features, evidence.target_features)
    rows = {"source": (source, labels), "target": (target, evidence.target_probabilities)}
    for name, (features, predictions) in rows.items():
        if len(features) != len(predictions):
            raise ValueError(f"{len(features)} features, {len(predictions)} predictions of {name}")
    return probabilities, labels, source, target


def _source(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    return check_labelled("source", evidence.source_probabilities, evidence.source_labels)


CRITERIA: Table[Criterion] = Table(
    "criterion",
    {
        "information_maximization": information_maximization,
        "entropy": negative_entropy,
        "soft_neighborhood_density": soft_neighborhood_density,
        "source": source_accuracy,
        "importance_weighted": importance_weighted,
        "deep_embedded": deep_embedded,
        "reverse_validation": reverse_validation,
    },
)
"""Criteria by the names of ``criterion_names``."""
