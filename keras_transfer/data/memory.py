"""Prepared examples kept in memory, where they fit."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Loading, Tensors, as_written
from keras_transfer.data.samples import CheckResult, Judge, Samples, Store
from keras_transfer.errors import BadData

__all__ = ["SHARE", "Held", "available", "check_fits", "fits", "held"]

logger = logging.getLogger("keras_transfer")

BATCH = 256
"""Examples that are collated at once, where that is faster."""

SHARE = 0.25
"""Share of the memory that is free now, which images, or features, may take."""

_CGROUPS = (  # version 2, version 1: folder; limit, use, and what of the use is file cache
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available() -> int:
    """Bytes of memory that are free: the machine's, or what its container may still take."""
    free = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        # Not MemFree: the kernel gives up the cache of files when memory is needed.
        free.append(1024 * int(next(x for x in lines if x.startswith("MemAvailable")).split()[1]))
    free += _left_to_container(Path("/sys/fs/cgroup"))
    if not free:
        with suppress(OSError, ValueError, AttributeError):
            free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(free, default=0))


def _left_to_container(root: Path) -> list[int]:
    """Bytes that the control group at ``root`` may still take; none where there is no limit.

    Cached files count as free: a scan has just read them all, and the kernel gives them up.
    """
    free = []
    for folder, limit, used, cached in _CGROUPS:
        with suppress(OSError, ValueError, KeyError):  # "max" is no number: there is no limit
            texts = [(root / folder / name).read_text() for name in (limit, used, "memory.stat")]
            cache = dict(line.split() for line in texts[2].splitlines())[cached]
            free.append(int(texts[0]) - int(texts[1]) + int(cache))
    return free


def fits(size: int, share: float = SHARE) -> bool:
    """Whether so many bytes fit into a share of the memory that is free."""
    return size <= share * available()


def check_fits(path: Path, size: int) -> None:
    """Refuse arrays of ``size`` bytes from a file, if they are more than the memory that is free.

    Raises:
        BadData: They are.
    """
    free = available()
    if size > free:
        raise BadData(
            f"{path} holds {size / 1e9:,.1f} GB of arrays, and {free / 1e9:,.1f} GB of memory are "
            "free. Give fewer images, or a folder of image files, which are read as they are "
            "needed."
        )


class Held:
    """A store of examples that are prepared already.

    Args:
        inputs: (n, ...) tensors by name, as ``Loading.example`` gives each example.
        store: Original store of the examples.
        rows: (n,) their row numbers there.
    """

    def __init__(self, inputs: Tensors, store: Store, rows: np.ndarray):
        self.inputs, self.store, self.rows = inputs, store, rows

    def prepared(self, row: tf.Tensor) -> Tensors:
        """Example number ``row``, () int64, from memory; e.g. {"pixels": (size, size, 3) uint8}."""
        return {name: tf.gather(values, row) for name, values in self.inputs.items()}

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read the original of example number ``row``, () int64; see ``Store.read``."""
        return self.store.read(tf.gather(tf.constant(self.rows), row))

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Check the original."""
        return self.store.check(int(self.rows[row]), judge)

    def stamp(self, row: int) -> tuple[str, int, int] | None:
        """Stamp of the original."""
        return self.store.stamp(int(self.rows[row]))


def held(samples: Samples, loading: Loading, share: float = SHARE) -> Samples:
    """Prepare all examples once, if they then fit into memory.

    Args:
        samples: The examples.
        loading: Settings of loading.
        share: Share of the free memory that they may use.

    Returns:
        The same table on a store that reads from memory; unchanged where they do not fit.
    """
    n = len(samples)
    if isinstance(samples.store, Held) or not n:
        return samples
    size = n * sum(spec.shape.num_elements() * spec.dtype.size for spec in _specs(loading))
    if not fits(2 * size, share):  # tf.data's iterators hold a copy
        logger.info("%s examples are prepared in every epoch (%.1f GB)", f"{n:,}", size / 1e9)
        return samples
    rows = tf.data.Dataset.from_tensor_slices(samples.rows)
    load = as_written(lambda row: loading.example(samples, row))
    loaded = rows.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if loading.input.batched:
        loaded = loaded.batch(BATCH).map(loading.input.collate).unbatch()
    inputs = next(iter(loaded.batch(n)))  # one tensor per input, which graphs take without a copy
    logger.debug("%s prepared examples are kept in memory (%.1f GB)", f"{n:,}", size / 1e9)
    return replace(samples, store=Held(inputs, samples.store, samples.rows), rows=np.arange(n))


def _specs(loading: Loading) -> list[tf.TensorSpec]:
    return list(loading.input.spec.values())
