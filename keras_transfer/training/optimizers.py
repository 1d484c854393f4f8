"""Optimizers and learning rate schedules by name.

Keras is imported inside the functions: the names are checked where Keras is not loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_transfer.tables import Table

if TYPE_CHECKING:
    import keras

__all__ = ["OPTIMIZERS", "SCHEDULES", "build_optimizer"]


OPTIMIZERS: Table[str] = Table(
    "optimizer", {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}
)
"""Constructors in ``keras.optimizers``."""


def _constant(rate: float, steps: int, warmup: int, decay: float) -> float:
    return rate


def _cosine(rate: float, steps: int, warmup: int, decay: float) -> Any:
    import keras

    if not warmup:
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=rate, warmup_steps=warmup
    )


def _exponential(rate: float, steps: int, warmup: int, decay: float) -> Any:
    import keras

    return keras.optimizers.schedules.ExponentialDecay(rate, steps, decay)


def _step(rate: float, steps: int, warmup: int, decay: float) -> Any:
    import keras

    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [steps // 2, steps * 3 // 4], [rate, rate * decay, rate * decay**2]
    )


SCHEDULES: Table[Callable[[float, int, int, float], Any]] = Table(
    "schedule",
    {
        "constant": _constant,
        "cosine": _cosine,  # Loshchilov and Hutter 2017, arXiv:1608.03983, one period
        "exponential": _exponential,
        "step": _step,
        "plateau": _constant,  # callbacks.plateau lowers it while the stage runs
    },
)


def build_optimizer(
    name: str,
    *,
    learning_rate: float,
    momentum: float = 0.9,
    weight_decay: float | None = None,
    schedule: str = "constant",
    steps: int = 1,
    warmup_steps: int = 0,
    decay: float = 0.1,
) -> keras.optimizers.Optimizer:
    """Make an optimizer whose rate follows a schedule over one stage.

    Args:
        name: A row of ``OPTIMIZERS``.
        learning_rate: At the start; after the warm-up where there is one.
        momentum: Of sgd.
        weight_decay: Decoupled decay of kernels (Loshchilov and Hutter 2019,
            arXiv:1711.05101); biases and normalisation layers are left out. None leaves it
            at Keras's default: 0.004 for adamw, none for the others.
        schedule: A row of ``SCHEDULES``: constant; cosine to 0; exponential, reaching
            ``learning_rate * decay`` at the end; step, times ``decay`` after half and after
            three quarters of the stage; plateau (constant here, lowered by a callback).
        steps: Batches in the whole stage.
        warmup_steps: Batches of linear warm-up from 0, for cosine.
        decay: Factor of exponential and step.

    Raises:
        UnknownName: No such optimizer or schedule.
    """
    import keras

    rate = SCHEDULES[schedule](learning_rate, steps, warmup_steps, decay)
    knobs = {"momentum": momentum} if name == "sgd" else {}
    if weight_decay is not None:
        knobs["weight_decay"] = weight_decay
    optimizer = getattr(keras.optimizers, OPTIMIZERS[name])(rate, **knobs)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
