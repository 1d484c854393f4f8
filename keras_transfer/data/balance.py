"""How much a picture of each class counts in the loss."""

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.tables import Table

__all__ = ["WEIGHTINGS", "class_weights", "weight_table"]

# Times the smallest class that the largest may have before "auto" balances them.
UNEVEN = 1.5


def class_weights(
    choice: str | Mapping[str, float], classes: Sequence[str], counts: np.ndarray
) -> np.ndarray:
    """Weigh the classes by their share of the training pictures, or as the user says.

    * "balanced": weight = pictures / (classes * pictures of the class), scikit-learn's
      ``compute_class_weight``, so that every class has the same say in the loss.
    * "none": every picture counts 1.
    * "auto": balanced where the largest class has more than 1.5 times the pictures of the
      smallest, none otherwise. Weights cost something: they push the predicted probabilities
      away from the classes' shares and make the gradient noisier. Below that ratio, which a
      collection meant to be even has by accident, there is nothing to win by them.

    Args:
        choice: "auto", "balanced", "none", or a weight for each class by its name.
        classes: Class names in label order.
        counts: (classes,) int, training pictures of each class.

    Returns:
        (classes,) float32, at least 0.

    Raises:
        UnknownName: There is no such choice, or no class of that name.
        BadConfiguration: A class has no weight, a weight is no number of at least 0, or all are 0.
        BadData: A class to be balanced has no pictures.
    """
    if isinstance(choice, Mapping):
        return _by_name(choice, classes)
    return WEIGHTINGS[choice](classes, np.asarray(counts)).astype("float32")


def weight_table(classes: Sequence[str], counts: np.ndarray, weights: np.ndarray) -> str:
    """Lay out class, training pictures and weight, a line each, for people to read."""
    width = max(len(name) for name in ("class", *classes))
    lines = [f"{'class':<{width}}  pictures  weight"]
    for name, count, weight in zip(classes, counts, weights, strict=True):
        lines.append(f"{name:<{width}}  {count:>8}  {weight:>6.3f}")
    return "\n".join(lines)


def _none(classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    return np.ones(len(classes))


def _balanced(classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        raise BadData("No weight balances a class without training pictures:", empty)
    return counts.sum() / (len(counts) * counts)


def _auto(classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    return (_balanced if counts.max() > UNEVEN * counts.min() else _none)(classes, counts)


WEIGHTINGS = Table("class_weight", {"auto": _auto, "balanced": _balanced, "none": _none})


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
        raise BadConfiguration("class_weight is 0 for every class, so no picture would count.")
    return np.array([weights[name] for name in classes], "float32")


def _is_weight(weight: object) -> bool:
    return isinstance(weight, Real) and 0 <= float(weight) < float("inf")
