"""Whether a metric is better when larger or smaller.

Imports names only, so that a wrong one is an error before anything is loaded; Keras would only
warn, and keep no model.
"""

from keras_transfer.domains.criterion_names import CRITERION_NAMES

__all__ = ["better", "mode"]

RISING = ("accuracy", "auc", "f1", "precision", "recall", "r2_score")
"""Final words of metric names for which larger is better."""


def mode(monitor: str) -> str:
    """Give "max" for a metric that is better when it is larger, "min" otherwise."""
    rises = monitor.endswith(RISING) or monitor.removeprefix("val_") in CRITERION_NAMES
    return "max" if rises else "min"


def better(monitor: str, value: float, than: float | None) -> bool:
    """Whether a value of the monitored metric beats an earlier one; anything beats None."""
    if than is None:
        return True
    return value > than if mode(monitor) == "max" else value < than
