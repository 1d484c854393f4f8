"""Process-wide setup before a network is built: seeds, precision, devices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import keras
import tensorflow as tf

from keras_transfer.errors import BadConfiguration
from keras_transfer.tables import Table

__all__ = ["STRATEGIES", "session", "strategy"]


logger = logging.getLogger("keras_transfer")


@contextmanager
def session(*, seed: int, deterministic: bool = False) -> Iterator[None]:
    """Set the global seed, and float32 as Keras's dtype policy, which is restored afterwards.

    Args:
        seed: Seed of Keras's, NumPy's and Python's global generators.
        deterministic: Make TensorFlow choose repeatable GPU kernels, at some cost in speed.
            It stays so for the rest of the process: TensorFlow cannot turn it off.
    """
    # A notebook may have set another one. Training steps have a precision of their own.
    before = keras.config.dtype_policy()
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _devices() -> list[str]:
    """Every GPU; without one, every logical CPU device, of which there is one unless configured."""
    return [d.name for d in tf.config.list_logical_devices("GPU")] or [
        d.name for d in tf.config.list_logical_devices("CPU")
    ]


@cache
def _over(*devices: str) -> tf.distribute.Strategy:
    """One strategy per process: a second one numbers its sums of gradients from the start too.

    TensorFlow remembers the shape of each number, and ends a second run with another network.
    """
    return tf.distribute.MirroredStrategy(devices)


def _auto(batch_size: int) -> tf.distribute.Strategy:
    devices = _devices()
    count = max(n for n in range(1, len(devices) + 1) if batch_size % n == 0)
    if count < len(devices):
        logger.warning(
            "Warning: batch_size = %s does not divide among %s devices; %s of them work.",
            *(batch_size, len(devices), count),
        )
    if count == 1:
        return tf.distribute.get_strategy()
    return _over(*devices[:count])


def _one_device(batch_size: int) -> tf.distribute.Strategy:
    return tf.distribute.OneDeviceStrategy(_devices()[0])


def _mirrored(batch_size: int) -> tf.distribute.Strategy:
    devices = _devices()
    if batch_size % len(devices):
        raise BadConfiguration(
            f"batch_size = {batch_size} does not divide among {len(devices)} devices; "
            f"take {max(1, batch_size // len(devices)) * len(devices)}."
        )
    return _over(*devices)


STRATEGIES: Table[Callable[[int], tf.distribute.Strategy]] = Table(
    "strategy", {"auto": _auto, "one_device": _one_device, "mirrored": _mirrored}
)


def strategy(name: str, batch_size: int) -> tf.distribute.Strategy:
    """Make a strategy over the machine's GPUs, or its logical CPU devices where it has none.

    Args:
        name: "mirrored" over all devices, "one_device", or "auto": mirrored over as many devices
            as the batch divides among.
        batch_size: Images per batch, over all devices.

    Raises:
        UnknownName: No such strategy.
        BadConfiguration: The batch does not divide among the devices of "mirrored".
    """
    return STRATEGIES[name](batch_size)
