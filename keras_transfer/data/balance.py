"""Class imbalance: the strategy, and class weights in the loss."""

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.tables import Table

__all__ = ["WEIGHTINGS", "choose_strategy", "class_weights", "weight_table"]

UNEVEN, EXTREME = 1.5, 20
"""Times the smallest class that the largest has: beyond them "auto" weighs classes, or samples."""

BETA = 0.999
"""Of effective numbers, as Cui et al. 2019 take it for data of some thousands."""


def choose_strategy(imbalance: str, counts: np.ndarray) -> tuple[str, str]:
    """Settle "auto" by the class counts.

    * Up to 1.5 times the smallest class, which a collection meant to be even has by accident,
      weights would only make the gradient noisier: "none".
    * Up to 20 times: "class_weight", which sees every example once an epoch and repeats none.
    * Beyond: "balanced_batches", for a weight that large lets single examples rule a batch.

    Args:
        imbalance: The requested strategy; "auto" chooses by the counts.
        counts: (classes,) int, training examples of each class.

    Returns:
        The strategy, never "auto", and the reason.
    """
    if imbalance != "auto":
        return imbalance, "requested"
    # An empty class is refused later, with its name, not by a division by 0.
    ratio = counts.max() / max(1, counts.min())
    reason = f"the largest class has {ratio:.1f} times the examples of the smallest"
    if ratio <= UNEVEN:
        return "none", f"{reason}, which is even enough"
    if ratio <= EXTREME:
        return "class_weight", f"{reason}, which class weights balance"
    return (
        "balanced_batches",
        f"{reason}; class weights this large would let single examples dominate",
    )


def class_weights(
    choice: str | Mapping[str, float], classes: Sequence[str], counts: np.ndarray
) -> np.ndarray:
    """Weigh the classes by their share of the training examples, or as the user says.

    * "none": every example counts 1.
    * "class_weight": weight = examples / (classes * examples of the class), scikit-learn's
      "balanced", so that every class has the same say in the loss.
    * "effective_number" (Cui et al. 2019): in proportion to (1 - b) / (1 - b^n) for n examples
      and b = 0.999, scaled as those above are: the mean over all examples is 1.

    Args:
        choice: A row of ``WEIGHTINGS``, or a weight for each class by its name.
        classes: Class names in label order.
        counts: (classes,) int, training examples of each class.

    Returns:
        (classes,) float32, at least 0.

    Raises:
        UnknownName: There is no such choice, or no class of that name.
        BadConfiguration: A class has no weight, a weight is no number of at least 0, or all are 0.
        BadData: A class to be balanced has no examples.
    """
    if isinstance(choice, Mapping):
        return _by_name(choice, classes)
    return WEIGHTINGS[choice](classes, np.asarray(counts)).astype("float32")


def weight_table(classes: Sequence[str], counts: np.ndarray, weights: np.ndarray) -> str:
    """Lay out class, training examples and weight, a line each, for people to read.

    Args:
        classes: Class names in label order.
        counts: (classes,) int, training examples of each class.
        weights: (classes,) float32, as ``class_weights`` gives them.
    """
    width = max(len(name) for name in ("class", *classes))
    lines = [f"{'class':<{width}}  examples  weight"]
    for name, count, weight in zip(classes, counts, weights, strict=True):
        lines.append(f"{name:<{width}}  {count:>8}  {weight:>6.3f}")
    return "\n".join(lines)


def _none(classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    return np.ones(len(classes))


def _balanced(classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        raise BadData("No weight balances a class without training examples:", empty)
    return counts.sum() / (len(counts) * counts)


def _effective(classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    _balanced(classes, counts)  # refuses empty classes
    weights = (1 - BETA) / (1 - BETA**counts)
    return weights * counts.sum() / (weights @ counts)


WEIGHTINGS = Table(
    "weighting", {"none": _none, "class_weight": _balanced, "effective_number": _effective}
)


def _by_name(weights: Mapping[str, float], classes: Sequence[str]) -> np.ndarray:
    for name in weights:
        if name not in classes:
            raise UnknownName("class", name, classes)
    missing = [name for name in classes if name not in weights]
    if missing:
        raise BadConfiguration(
            f"class_weight names {len(weights)} of {len(classes)} classes; "
            f"give these a weight too: {', '.join(missing)}."
        )
    wrong = {name: weight for name, weight in weights.items() if not _is_weight(weight)}
    if wrong:
        raise BadConfiguration(f"A class weight is a number of at least 0; found {wrong}.")
    if not any(weights.values()):
        raise BadConfiguration("class_weight is 0 for every class, so nothing would be learned.")
    return np.array([weights[name] for name in classes], "float32")


def _is_weight(weight: object) -> bool:
    return isinstance(weight, Real) and 0 <= float(weight) < float("inf")  # not NaN
