"""What has to be settled before a network is built: seeds, precision, devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from keras_transfer.tables import Table

__all__ = ["STRATEGIES", "session", "strategy"]


@contextmanager
def session(
    *, seed: int, precision: str = "float32", deterministic: bool = False
) -> Iterator[None]:
    """Set the global seed and Keras's dtype policy; the policy is put back afterwards.

    Args:
        seed: Of everything that draws from Keras's, NumPy's and Python's global generators.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        deterministic: Make TensorFlow choose repeatable GPU kernels, at some cost in speed.
            It stays so for the rest of the process: TensorFlow cannot turn it off.
    """
    before = keras.config.dtype_policy()
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _devices() -> list[str]:
    """Every GPU; without one, every logical CPU device, of which there is one unless configured."""
    return [d.name for d in tf.config.list_logical_devices("GPU")] or [
        d.name for d in tf.config.list_logical_devices("CPU")
    ]


def _auto() -> tf.distribute.Strategy:
    return _mirrored() if len(_devices()) > 1 else tf.distribute.get_strategy()


def _one_device() -> tf.distribute.Strategy:
    return tf.distribute.OneDeviceStrategy(_devices()[0])


def _mirrored() -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(_devices())


STRATEGIES: Table[Callable[[], tf.distribute.Strategy]] = Table(
    "strategy", {"auto": _auto, "one_device": _one_device, "mirrored": _mirrored}
)


def strategy(name: str) -> tf.distribute.Strategy:
    """Make a strategy over the machine's GPUs, or its logical CPU devices where it has none.

    Args:
        name: "auto" (mirrored where there is more than one device), "one_device" or "mirrored".

    Raises:
        UnknownName: No such strategy.
    """
    return STRATEGIES[name]()
