"""Fit a classical learner, with its main parameter chosen by cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.learners.calibration import calibrate
from keras_transfer.learners.examples import Examples, folds, subset
from keras_transfer.learners.heads import KernelHead, LinearHead, Standard
from keras_transfer.learners.scaling import fitted_scaler
from keras_transfer.learners.table import LEARNERS, Head, LearnerRow

__all__ = ["Fitted", "check_parameters", "fit_learner", "standard_of"]


PATIENCE = 2
"""Values in turn that are no better than an earlier one, after which the search ends."""

OURS = ("random_state", "n_jobs", "warm_start", "class_weight", "verbose")
"""Parameters of scikit-learn that are settings of a recipe, or change no result."""


class Fitted(NamedTuple):
    """A fitted learner.

    Attributes:
        head: What a network computes in its place.
        parameter: The parameter that was chosen; "" for none.
        value: Its value.
        score: Accuracy, or log loss, of held-out examples with that value; None without folds.
        by: Which of both: "accuracy" or "log_loss".
        folds: Number of folds; 0 where no class can be divided.
        rows: Number of examples that chose the value.
    """

    head: Head
    parameter: str
    value: Any
    score: float | None
    by: str
    folds: int
    rows: int


def check_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that a learner does not have, or values that it does not take.

    Raises:
        UnknownName: There is no such learner or parameter.
        BadConfiguration: scikit-learn refuses a value.
    """
    learner = LEARNERS[name]
    known = learner.only or [key for key in learner.parameters() if key not in OURS]
    for parameter in parameters:
        if parameter in OURS:
            raise BadConfiguration(
                f"learner.parameters.{parameter}: the recipe decides on it. Its settings are seed, "
                "imbalance and class_weight."
            )
        if parameter not in known:
            raise UnknownName(f"parameter of {name}", parameter, list(known))
    rng = np.random.default_rng(0)
    few = Examples(rng.normal(size=(1, 60, 3)), np.arange(60) % 3, np.ones(60), np.arange(60))
    searched = {learner.searched: learner.grid[0]} if learner.searched else {}
    try:
        _fit(learner, {**searched, **parameters}, few, seed=0)
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise BadConfiguration(f"learner.parameters, for {name}: {reason}") from None


# One thread, as in logistic.py: results do not depend on the load of the machine, and threads that
# wait for each other are slower than none.
@threadpool_limits.wrap(limits=1)
def fit_learner(
    name: str,
    parameters: Mapping[str, Any],
    examples: Examples,
    classes: int,
    seed: int,
    *,
    blocks: Sequence[int] = (),
) -> Fitted:
    """Choose the learner's main parameter by cross-validation, fit it to all, and calibrate it.

    Held-out examples are taken in their clean view. A learner without probabilities of its own
    (support vector machines, nearest mean) gets them by ``calibrate`` on the held-out decisions.

    Args:
        name: A row of ``LEARNERS``.
        parameters: Of the estimator; one that is given is not searched.
        examples: Two classes of them at least.
        classes: Number of classes; the probability of those without examples is almost 0.
        seed: Random seed.
        blocks: Numbers of channels of several networks, in their order. Each block then counts as
            much as the others in distances and penalties, however many channels it has.
    """
    learner = LEARNERS[name]
    standard = standard_of(examples, blocks) if learner.standardized else _unchanged(examples)
    scaled = examples._replace(features=standard(examples.features))
    few = subset(scaled, seed)
    pairs = [*folds(few, seed, learner.folds)]
    searched = learner.searched if learner.searched not in parameters else ""
    options = [{**parameters, searched: value} for value in learner.grid] if searched else []
    options = options or [{**parameters}]
    trials = _trials(learner, options, pairs, seed) if pairs else []
    place = _best([trial.score(learner.by) for trial in trials]) if trials else len(options) // 2
    head = learner.head(_fit(learner, options[place], scaled, seed), classes, standard)
    if not learner.calibrated and trials and isinstance(head, LinearHead | KernelHead):
        known = np.unique(examples.labels)
        head = head.calibrated(*trials[place].calibration(classes), known)
    score = abs(trials[place].score(learner.by)) if trials else None
    return Fitted(
        head, searched, options[place].get(searched), score, learner.by, len(pairs), len(few.labels)
    )


def _best(scores: Sequence[float]) -> int:
    """The first of the highest: of equally good models the simplest."""
    return int(np.argmax(np.round(scores, 12)))


def _trials(
    learner: LearnerRow,
    options: Sequence[Mapping[str, Any]],
    pairs: Sequence[tuple[Examples, Examples]],
    seed: int,
) -> list[_HeldOut]:
    """Held-out answers with each of the parameters, until ``PATIENCE`` in turn were no better."""
    trials: list[_HeldOut] = []
    scores: list[float] = []
    for parameters in options:
        trials.append(_held_out(learner, parameters, pairs, seed))
        scores.append(trials[-1].score(learner.by))
        # From simple to complex models the score rises and falls, and complex ones take longest.
        if len(scores) - 1 - _best(scores) >= PATIENCE:
            break
    return trials


class _HeldOut(NamedTuple):
    """Logits of held-out examples: (n, classes), and their labels and weights, (n,)."""

    logits: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def score(self, by: str) -> float:
        """Weighted accuracy, or negative log loss: higher is better."""
        if by == "accuracy":
            values = (self.logits.argmax(axis=1) == self.labels).astype("float64")
        else:
            values = log_softmax(self.logits, axis=1)[np.arange(len(self.labels)), self.labels]
        return float(np.average(values, weights=self.weights))

    def calibration(self, classes: int) -> tuple[float, np.ndarray]:
        """Slope and shifts, for all classes."""
        known = self.logits.shape[1]
        slope, shift = calibrate(self.logits, self.labels, self.weights)
        return slope, np.append(shift, np.zeros(classes - known))


def _held_out(
    learner: LearnerRow,
    parameters: Mapping[str, Any],
    pairs: Sequence[tuple[Examples, Examples]],
    seed: int,
) -> _HeldOut:
    classes = 1 + max(int(train.labels.max()) for train, _ in pairs)
    logits = [
        learner.logits(_fit(learner, parameters, train, seed), held.features[0], classes)
        for train, held in pairs
    ]
    labels = np.concatenate([held.labels for _, held in pairs])
    weights = np.concatenate([held.weights for _, held in pairs])
    return _HeldOut(np.concatenate(logits), labels, weights)


def _fit(learner: LearnerRow, parameters: Mapping[str, Any], examples: Examples, seed: int) -> Any:
    views, n, channels = examples.features.shape
    given: dict[str, Any] = {**parameters}
    if learner.seeded:
        given["random_state"] = seed % 2**32
    if learner.searched == "n_neighbors":  # a fold may have fewer examples
        given["n_neighbors"] = min(given.get("n_neighbors", 5), views * n)
    rows, labels = examples.features.reshape(-1, channels), np.tile(examples.labels, views)
    more: dict[str, Any] = {}
    if learner.weighted:
        # All views of an example together weigh as much as the example.
        more["sample_weight"] = np.tile(examples.weights / views, views)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Of NearestCentroid; a constant channel does not matter for distances.
        warnings.filterwarnings("ignore", "self.within_class_std_dev_", UserWarning)
        return learner.make(**given).fit(rows, labels, **more)


def standard_of(examples: Examples, blocks: Sequence[int] = ()) -> Standard:
    """Mean and standard deviation of each channel; ``blocks`` as for ``fit_learner``."""
    views, _, channels = examples.features.shape
    weights = np.tile(examples.weights, views)
    scaler = fitted_scaler(examples.features.reshape(-1, channels), weights)
    if not blocks:
        return Standard(scaler.mean_, scaler.scale_)
    widths = np.repeat(np.sqrt(np.divide(blocks, np.mean(blocks))), blocks)
    return Standard(scaler.mean_, scaler.scale_ * widths)


def _unchanged(examples: Examples) -> Standard:
    channels = examples.features.shape[-1]
    return Standard(np.zeros(channels), np.ones(channels))
