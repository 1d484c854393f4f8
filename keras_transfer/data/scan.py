"""Check every example once, before training: nothing dies hours in."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_transfer.data import scan_cache
from keras_transfer.data.files import Files
from keras_transfer.data.samples import CheckResult, Judge, Samples
from keras_transfer.errors import BadData
from keras_transfer.tables import Table

__all__ = ["ON_BAD", "Scan", "drop_invalid", "scan"]

logger = logging.getLogger("keras_transfer")

_FILE = "sound-3.sqlite"  # count up when checks become stricter
_PIECE = 512  # examples between writes to the scan cache


@dataclass(frozen=True, eq=False)
class Scan:
    """Results of checking n examples.

    Attributes:
        digests: (n,) object array of str: equal for exact duplicates only; "" where an example
            cannot be read at all.
        reasons: (n,) object array of str: why an example cannot be used; "" where it can.
    """

    digests: np.ndarray
    reasons: np.ndarray


def scan(samples: Samples, judge: Judge, cache: Path | None) -> Scan:
    """Check each example, unless the scan cache has it as valid.

    Examples are read and decoded in parallel, with a progress bar where stderr is a terminal.
    Sound ones are remembered by the stamps of the store, piece by piece; others are looked
    at every time, for a mended permission or a newer TensorFlow leaves no trace in these.

    Args:
        samples: The examples; labels and splits do not matter.
        judge: Says whether the bytes of an example can be used.
        cache: Folder of the scan cache, created if missing; None: check all examples.

    Returns:
        A row for each of ``samples``.
    """
    store, rows, file = samples.store, samples.rows.tolist(), (cache or Path()) / _FILE
    # As many as in Python's ThreadPoolExecutor: threads wait for the disk, too.
    with ThreadPool(min(32, (os.cpu_count() or 1) + 4)) as threads:
        stamps: list[Any] = threads.map(store.stamp, rows) if cache else [None] * len(rows)
        results = [CheckResult(digest) for digest in scan_cache.recall(file, stamps)]
        unknown = [i for i, checked in enumerate(results) if not checked.digest]
        check = partial(store.check, judge=judge)
        checks = threads.imap(check, [rows[i] for i in unknown], chunksize=8)
        silent = None if unknown else True  # None: where stderr is no terminal
        looks: Iterator[CheckResult] = iter(
            tqdm(checks, "Checking examples", len(unknown), disable=silent)
        )
        for start in range(0, len(unknown), _PIECE):
            piece = unknown[start : start + _PIECE]
            # piece comes first: in the other order zip would take one result more, and lose it.
            for i, checked in zip(piece, looks, strict=False):
                results[i] = checked
            keep = [i for i in piece if stamps[i] and not results[i].reason]
            scan_cache.remember(file, [stamps[i] for i in keep], [results[i].digest for i in keep])
    digests, reasons = zip(*results, strict=True) if results else ((), ())
    return Scan(np.array(digests, object), np.array(reasons, object))


def drop_invalid(samples: Samples, found: Scan, on_bad: str) -> Samples:
    """Keep the examples that can be used, with their digests; none of their files may change then.

    Args:
        samples: The examples.
        found: Result of ``scan`` for them.
        on_bad: A row of ``ON_BAD``: "fail" where there are others, or "skip" them.

    Raises:
        BadData: With "fail", there are others; with "skip", a class has no others.
        UnknownName: ``on_bad`` is no row of ``ON_BAD``.
    """
    act = ON_BAD[on_bad]
    samples = replace(samples, digests=found.digests)
    if isinstance(samples.store, Files):
        # Later reads compare the digest, so nobody trains on files that were not checked.
        store = samples.store.expecting(samples.rows, found.digests)
        samples = replace(samples, store=store)
    bad = found.reasons != ""
    if not bad.any():
        return samples
    pairs = zip(samples.keys[bad], found.reasons[bad], strict=True)
    return act(samples, bad, [f"{key}: {reason}" for key, reason in pairs])


def _fail(samples: Samples, bad: np.ndarray, offenders: list[str]) -> Samples:
    raise BadData(
        f"{len(offenders):,} of {len(samples):,} examples cannot be used. Mend or remove them, or "
        "leave them out with --on-bad skip:",
        offenders,
    )


def _skip(samples: Samples, bad: np.ndarray, offenders: list[str]) -> Samples:
    kept = samples.take(~bad)
    emptied = np.flatnonzero((samples.counts() > 0) & (kept.counts() == 0))
    if len(emptied):
        names = ", ".join(repr(samples.classes[label]) for label in emptied)
        raise BadData(f"No example of {names} can be used:", offenders)
    logger.warning(
        "Left out %s of %s examples that cannot be used", f"{len(offenders):,}", f"{len(samples):,}"
    )
    return kept


ON_BAD = Table("way with bad examples", {"fail": _fail, "skip": _skip})
