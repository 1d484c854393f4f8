"""The examples of a run, found again and read one by one."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from keras_transfer.data.samples import BOUNDARY, Samples
from keras_transfer.errors import TransferError
from keras_transfer.inputs.table import read_input
from keras_transfer.quiet import import_tensorflow
from keras_transfer.runs.run import Run

__all__ = ["Examples", "raw_example"]

logger = logging.getLogger("keras_transfer")

MAX_NAMESAKES = 20
"""Most examples that are read to find one by its name."""


class Examples:
    """Reads raw examples of a run by their paths in ``split.csv``.

    An example whose content has changed since the run is not given: its label and prediction are
    those of another one.

    Args:
        run: A finished run.
        rows: Of its ``split.csv``.
        data: Where the examples are now: a spec or arrays; None: where they were.

    Attributes:
        are_texts: Whether they are texts.
        stands_for: What stands for an example in a command.
        problem: Why no example can be read; empty if they can.
        missing: Paths of the examples that were asked for and are not there, or have changed.
    """

    def __init__(self, run: Run, rows: Sequence[Mapping[str, str]], data: Any = None):
        import_tensorflow()
        self.digests = {row["path"]: row["digest"] for row in rows}
        columns = read_input(run.settings["input"]).text_columns
        self.are_texts = bool(columns)
        self.stands_for = ("PATH", "a text", "PAIRS.csv")[len(columns)]
        self.missing: list[str] = []
        self.problem = ""
        self._samples: Samples | None = None
        self._places: dict[str, int] = {}
        self._namesakes: dict[str, list[int]] | None = None
        try:
            with _unheard():
                self._samples, self._places = run.listed(data)
        # A report without images is worth more than none.
        except (TransferError, OSError) as error:
            self.problem = str(error)

    def raw(self, key: str) -> Any:
        """The encoded bytes, (height, width, 3) uint8 pixels or text of an example; None without.

        A pair of texts is a (2,) object array of bytes.

        One that is not there is noted in ``missing``. Safe for several threads at once.
        """
        found = self.find(key)
        if found is None and self._samples is not None:
            self.missing.append(key)
        return found

    def find(self, key: str) -> Any:
        """The same, without a note."""
        if self._samples is None:
            return None
        expected = self.digests.get(key, "")
        for place in self._candidates(key):
            raw = self._read(place)
            if raw is not None and (not expected or _digest(raw) == expected):
                return raw
        return None

    def _candidates(self, key: str) -> list[int]:
        """Places of the example, or of those with its name where the data have moved."""
        if key in self._places:
            return [self._places[key]]
        if self._namesakes is None:
            found = defaultdict(list)
            for path, place in self._places.items():
                found[_name(path)].append(place)
            self._namesakes = dict(found)
        return self._namesakes.get(_name(key), [])[:MAX_NAMESAKES]

    def _read(self, place: int) -> Any:
        assert self._samples is not None
        return raw_example(self._samples, place)


def raw_example(samples: Samples, place: int) -> Any:
    """The raw example in a row of a table, as ``Examples.raw`` gives it; None if it is not there.

    Args:
        samples: The table.
        place: Number of the row.
    """
    import tensorflow as tf

    store, row = samples.store, int(samples.rows[place])
    try:
        # Without a graph, for files: their content is Python's.
        if hasattr(store, "content"):
            return store.content(row)
        return store.read(tf.constant(row, tf.int64)).numpy()
    except (TransferError, OSError, tf.errors.OpError):
        return None


@contextmanager
def _unheard() -> Iterator[None]:
    """Drop log lines on the layout of the data: the run has written them before."""
    was, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _digest(raw: Any) -> str:
    """As the scan before training computes it."""
    if isinstance(raw, np.ndarray) and raw.dtype == object:  # a pair of texts
        raw = BOUNDARY.join(raw.tolist())
    return hashlib.sha256(raw if isinstance(raw, bytes) else raw.tobytes()).hexdigest()
