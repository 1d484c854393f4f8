"""The metrics of an epoch that can choose the best model, and which way each is better.

Imports nothing, so that a wrong name is an error before anything is loaded; Keras would only
warn, and keep no model.
"""

from keras_transfer.tables import Table

__all__ = ["MONITORS", "better"]

MONITORS: Table[str] = Table(
    "monitor", {"val_loss": "min", "val_accuracy": "max", "loss": "min", "accuracy": "max"}
)


def better(monitor: str, value: float, than: float | None) -> bool:
    """Whether a value of the monitored metric beats an earlier one; anything beats None."""
    if than is None:
        return True
    return value > than if MONITORS[monitor] == "max" else value < than
