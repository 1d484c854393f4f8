"""Tell trackers of a run while it is trained; they never change or stop it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.atomic import write_json
from keras_transfer.errors import BadData
from keras_transfer.runs.records import read_json
from keras_transfer.tracking.addresses import without_secrets
from keras_transfer.tracking.base import Tracker
from keras_transfer.tracking.contents import epochs, files, test_metrics, tracked_run
from keras_transfer.tracking.table import STATE, TRACKERS
from keras_transfer.training.reports import listening

__all__ = ["Following", "followed"]

logger = logging.getLogger("keras_transfer")


@contextmanager
def followed(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Tell trackers of the run in a directory, from the begin of its training to its end.

    Args:
        folder: The run directory.
        names: Rows of ``TRACKERS``; if there are none, whoever listens to the run still does.
    """
    if not names:
        yield
        return
    following = Following(folder, {name: TRACKERS[name].make() for name in names})
    try:
        with listening(following.update):
            yield
    except BaseException as error:
        following.stop("failed" if isinstance(error, Exception) else "interrupted")
        raise
    following.finish()


class Following:
    """The trackers of a run, and what each has been told.

    What the run has written into its directory is read at each call, so that a tracker which
    missed something, since the run was killed or its server did not answer, gets it later.

    Args:
        folder: The run directory.
        trackers: By name.
    """

    def __init__(self, folder: Path, trackers: dict[str, Tracker]):
        self.folder, self.trackers = folder, trackers
        self.state = self._stored()
        self.begun: set[str] = set()
        self.failed: set[str] = set()

    def update(self, rows: Sequence[Any] = ()) -> None:
        """Training begins, or an epoch is over.

        Args:
            rows: Not used: members of an ensemble report theirs, which are not the run's.
        """
        for name in self.trackers:
            # A server that is gone would delay each epoch; it is asked again at the end.
            if name not in self.failed:
                self._attempt(name, self._epochs)

    def finish(self) -> None:
        """The run is over, and all of its files are there."""
        for name in self.trackers:
            self._attempt_last(name, self._finish)

    def _finish(self, name: str) -> None:
        try:
            self._epochs(name)
        except Exception:
            if name in self.begun:  # else its run would be open for ever
                self.trackers[name].stop("failed")
            raise
        self.trackers[name].finish(test_metrics(self.folder), files(self.folder))
        if name in self.failed:
            logger.info("%s works again, and has all of the run", name)

    def stop(self, status: str) -> None:
        """The run ends before it is finished; what it never told of, it does not mention now.

        A tracker that has failed is asked once more: its run would be open for ever.

        Args:
            status: "failed" or "interrupted".
        """

        def stop(name: str) -> None:
            self.trackers[name].stop(status)

        for name in self.trackers:
            if name in self.begun:
                self._attempt_last(name, stop)

    def _epochs(self, name: str) -> None:
        """Begin if it has not, and tell of the epochs that this tracker does not know."""
        tracker = self.trackers[name]
        row = self.state.setdefault(name, {"run": {}, "described": False, "epochs": 0})
        if name not in self.begun:
            row["run"] = tracker.begin(tracked_run(self.folder), row["run"])
            logger.info("Tracked by %s: %s", name, row["run"]["where"])
            self.begun.add(name)
            write_json(self.folder / STATE, self.state)
        # Runs of earlier versions were described as they began.
        if not row.get("described", True):
            tracker.describe(tracked_run(self.folder))
            row["described"] = True
            write_json(self.folder / STATE, self.state)
        known = epochs(self.folder)
        for step, metrics in enumerate(known[row["epochs"] :], start=row["epochs"] + 1):
            tracker.epoch(step, metrics)
            row["epochs"] = step
            # A killed run tells of an epoch twice at most.
            write_json(self.folder / STATE, self.state)

    def _attempt_last(self, name: str, act: Callable[[str], None]) -> None:
        """The run itself is over: Ctrl-C ends the wait for a tracker, and nothing else."""
        try:
            self._attempt(name, act)
        except KeyboardInterrupt:
            logger.warning("Warning: %s may lack the end of the run: interrupted.", name)
            self.failed.add(name)

    def _attempt(self, name: str, act: Callable[[str], None]) -> None:
        try:
            with _same_random_state():
                act(name)
        except Exception as error:  # the run goes on, whatever happens in a tracker
            if name not in self.failed:
                said = without_secrets(f"{type(error).__name__}: {error}")
                reason = " ".join(said.split())[:300]
                logger.warning(
                    "Warning: %s does not work, so the run goes on without it. %s", name, reason
                )
            self.failed.add(name)

    def _stored(self) -> dict[str, dict[str, Any]]:
        path = self.folder / STATE
        try:
            return read_json(path, dict) if path.exists() else {}
        except BadData as error:  # the run itself does not need it
            logger.warning("Warning: the trackers begin again. %s", error)
            return {}


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Trackers may draw names; layers that are built later draw seeds from the same generator."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
