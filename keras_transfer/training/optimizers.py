"""Optimizers and learning rate schedules by name.

Keras is imported inside the functions: the names are checked where Keras is not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import BadConfiguration
from keras_transfer.tables import Table

if TYPE_CHECKING:
    import keras

    from keras_transfer.training.layer_rates import Factor

__all__ = ["OPTIMIZERS", "SCHEDULES", "WARMING", "build_optimizer"]


OPTIMIZERS: Table[str] = Table(
    "optimizer",
    {
        "sgd": "SGD",
        "adam": "Adam",
        "adamw": "AdamW",
        "rmsprop": "RMSprop",
        "nadam": "Nadam",
        "adamax": "Adamax",
        "adagrad": "Adagrad",
        "adadelta": "Adadelta",
        "adafactor": "Adafactor",
        "ftrl": "Ftrl",
        "lamb": "Lamb",
        "lion": "Lion",
        "muon": "Muon",
    },
)
"""Constructors in ``keras.optimizers``."""


def _constant(rate: float, steps: int, warmup: int, decay: float) -> Any:
    import keras

    if not warmup:
        return rate
    # Keras has no warm-up alone; a linear "decay" from 0 up to the rate stays there afterwards.
    return keras.optimizers.schedules.PolynomialDecay(0.0, warmup, end_learning_rate=rate)


def _cosine(rate: float, steps: int, warmup: int, decay: float) -> Any:
    import keras

    if not warmup:
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=rate, warmup_steps=warmup
    )


def _one_cycle(rate: float, steps: int, warmup: int, decay: float) -> Any:
    """A third of the stage up, unless there is a warm-up; then down by a cosine."""
    import keras

    up = warmup or max(1, round(0.3 * steps))
    return keras.optimizers.schedules.CosineDecay(
        rate / 25, max(1, steps - up), alpha=1e-4, warmup_target=rate, warmup_steps=up
    )


def _exponential(rate: float, steps: int, warmup: int, decay: float) -> Any:
    import keras

    return keras.optimizers.schedules.ExponentialDecay(rate, steps, decay)


def _step(rate: float, steps: int, warmup: int, decay: float) -> Any:
    import keras

    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [steps // 2, steps * 3 // 4], [rate, rate * decay, rate * decay**2]
    )


def _staircase(rate: float, steps: int, warmup: int, decay: float) -> Any:
    """Schedule of BiT-HyperRule (Kolesnikov et al. 2020, arXiv:1912.11370)."""
    import keras

    class Rising(keras.optimizers.schedules.PiecewiseConstantDecay):
        def __call__(self, step: Any) -> Any:
            risen = keras.ops.cast(step, "float32") / warmup
            return super().__call__(step) * keras.ops.minimum(risen, 1.0)

    kind = Rising if warmup else keras.optimizers.schedules.PiecewiseConstantDecay
    ends = [steps * share // 100 for share in (30, 60, 90)]
    return kind(ends, [rate, rate * decay, rate * decay**2, rate * decay**3])


SCHEDULES: Table[Callable[[float, int, int, float], Any]] = Table(
    "schedule",
    {
        "constant": _constant,
        "cosine": _cosine,  # Loshchilov and Hutter 2017, arXiv:1608.03983, one period
        "one_cycle": _one_cycle,  # Smith and Topin 2018, arXiv:1708.07120
        "exponential": _exponential,
        "step": _step,
        "staircase": _staircase,
        "plateau": lambda rate, *rest: rate,  # callbacks.plateau lowers it while the stage runs
    },
)

CLIPPING = {"clipnorm", "clipvalue", "global_clipnorm"}
"""Keras's settings that bound gradients."""

WARMING = ("constant", "cosine", "one_cycle", "staircase")
"""Schedules that support warm-up."""


def build_optimizer(
    name: str,
    *,
    learning_rate: float,
    schedule: str = "constant",
    steps: int = 1,
    warmup_steps: int = 0,
    decay: float = 0.1,
    factor_of: Factor | None = None,
    carry: bool = False,
    **settings: Any,
) -> keras.optimizers.Optimizer:
    """Make an optimizer with a learning rate schedule over one stage.

    Args:
        name: A row of ``OPTIMIZERS``.
        learning_rate: At the start; after the warm-up where there is one.
        schedule: A row of ``SCHEDULES``: constant; cosine to 0; one_cycle, up from a 25th in
            three tenths of the stage and down to a 10,000th of that by a cosine; exponential,
            reaching ``learning_rate * decay`` at the end; step, times ``decay`` after half and
            after three quarters of the stage; staircase, times ``decay`` after 30, 60 and 90 %;
            plateau (constant here, lowered by a callback).
        steps: Number of batches in the stage.
        warmup_steps: Batches of linear warm-up from 0 (one_cycle: from a 25th), for ``WARMING``.
        decay: Factor of exponential, step and staircase.
        factor_of: From a variable to the factor of its rate, as ``layer_factors`` gives it.
        carry: Whether the state of an earlier optimizer is loaded; see ``per_variable_steps``.
        settings: Others of Keras's constructor; None leaves its default. ``momentum`` is for sgd,
            others ignore it. ``weight_decay`` is decoupled (Loshchilov and Hutter 2019,
            arXiv:1711.05101), and leaves out biases and normalisation layers; by default 0.004
            for adamw and muon, none for the others.

    Raises:
        UnknownName: No such optimizer or schedule.
        BadConfiguration: This Keras does not have the optimizer yet.
    """
    import keras

    optimizer_class = getattr(keras.optimizers, OPTIMIZERS[name], None)
    if optimizer_class is None:
        raise BadConfiguration(f"Keras {keras.__version__} has no {OPTIMIZERS[name]}; upgrade it.")
    arguments = {setting: value for setting, value in settings.items() if value is not None}
    if name != "sgd":
        arguments.pop("momentum", None)
    if (
        name == "muon" and "weight_decay" in arguments
    ):  # Muon has a separate setting for variables that are not matrices
        arguments["adam_weight_decay"] = arguments["weight_decay"]
    if name == "adafactor":  # the square of Keras's 1e-30 is 0: a unit without gradient gives NaN
        arguments["epsilon_1"] = 1e-15
    optimizer = _extended(optimizer_class, arguments, factor_of, carry)(
        SCHEDULES[schedule](learning_rate, steps, warmup_steps, decay), **arguments
    )
    # Keras's normalization layers call their weights gamma and beta.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _extended(
    optimizer: Any, arguments: Mapping[str, Any], factor: Factor | None, carry: bool
) -> Any:
    """Subclass an optimizer's class for what Keras's own does not do, or not on several devices."""
    if arguments.get("gradient_accumulation_steps"):
        from keras_transfer.training.replicas import accumulating

        optimizer = accumulating(optimizer)
    if CLIPPING & arguments.keys():
        from keras_transfer.training.replicas import clipping_the_sum

        optimizer = clipping_the_sum(optimizer)
    if factor is not None:
        from keras_transfer.training.layer_rates import layerwise

        optimizer = layerwise(optimizer, factor)
    if carry:
        from keras_transfer.training.optimizer_state import per_variable_steps

        optimizer = per_variable_steps(optimizer)
    if arguments.get("use_ema"):
        from keras_transfer.training.ema import with_warm_ema

        optimizer = with_warm_ema(optimizer)
    return optimizer
