"""The folder of a search over settings; trials are written atomically."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keras_transfer.atomic import write_csv
from keras_transfer.config.tree import differences
from keras_transfer.config.upgrade import stored
from keras_transfer.errors import BadConfiguration
from keras_transfer.runs.records import read_record, write_record

__all__ = ["COMPLETE", "FAILED", "PRUNED", "RUNNING", "Record", "Trial"]

RUNNING = "running"
COMPLETE = "complete"
PRUNED = "pruned"
FAILED = "failed"


@dataclass
class Trial:
    """A run with its values of the searched settings.

    Attributes:
        number: From 0; also the name of its run folder.
        drawn: Drawn values by setting, for Optuna.
        values: The settings' values for it.
        state: RUNNING until it is over.
        metrics: Metric of the val split by epoch.
        value: The best of them, if the trial finished.
        reason: Why it did not finish.
    """

    number: int
    drawn: dict[str, Any]
    values: dict[str, Any]
    state: str = RUNNING
    metrics: list[float] = field(default_factory=list)
    value: float | None = None
    reason: str = ""


class Record:
    """``search.json`` of a folder: the settings of the search, and its trials.

    Args:
        folder: Existing folder.
        asked: JSON-ready settings that all trials share.

    Raises:
        BadConfiguration: The folder holds another search.
    """

    def __init__(self, folder: Path, asked: dict[str, Any]):
        # Through JSON, so that tuples and lists compare equal to what the file holds.
        self.path, self.asked = folder / "search.json", json.loads(json.dumps(asked))
        self.trials: list[Trial] = []
        if self.path.exists():
            before = read_record(self.path, {"asked": dict, "trials": list})
            if before["trials"]:  # before the first it may become another
                self._check_same(before["asked"])
            self.trials = [Trial(**trial) for trial in before["trials"]]

    def write(self) -> None:
        """Write all trials, in one atomic step."""
        write_record(self.path, {"asked": self.asked, "trials": [asdict(t) for t in self.trials]})

    @property
    # A running trial of the file is one that was killed; it is resumed, not counted.
    def over(self) -> list[Trial]:
        """Trials that have ended."""
        return [trial for trial in self.trials if trial.state != RUNNING]

    def write_table(self, path: Path, monitor: str, settings: Sequence[str]) -> None:
        """Write one row per trial: number, state, metric, epochs, settings, reason of the end."""
        rows = (
            [
                *(trial.number, trial.state, trial.value, len(trial.metrics)),
                *(trial.values[setting] for setting in settings),
                trial.reason,
            ]
            for trial in self.over
        )
        write_csv(path, ["trial", "state", monitor, "epochs", *settings, "reason"], rows)

    def _check_same(self, before: dict[str, Any]) -> None:
        changed = [
            f"{path.removeprefix('recipe.')} = {began!r}, not {value!r}"
            # Both in the current format: a search may continue after an upgrade of the package.
            for path, began, value in differences(_read(before), _read(self.asked))
        ]
        if changed:
            raise BadConfiguration(
                f"{self.path.parent} holds another search: {', '.join(changed)}. Use the "
                "same options to continue it, or name another --out."
            )


def _read(requested: dict[str, Any]) -> dict[str, Any]:
    """The same with the recipe's settings in the current format."""
    return {**requested, "recipe": stored(requested.get("recipe", {}))}
