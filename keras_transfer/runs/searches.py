"""The folder of a search over settings: its trials, written so that a kill loses none."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keras_transfer.config.tree import differences
from keras_transfer.config.upgrade import stored
from keras_transfer.errors import BadConfiguration
from keras_transfer.runs.directory import write_json

__all__ = ["COMPLETE", "FAILED", "PRUNED", "RUNNING", "Record", "Trial"]

RUNNING = "running"
COMPLETE = "complete"
PRUNED = "pruned"
FAILED = "failed"


@dataclass
class Trial:
    """A run with values of its own for the settings that are searched.

    Attributes:
        number: From 0; also the name of its run folder.
        drawn: What was drawn, by setting.
        values: The settings' values for it.
        state: RUNNING until it is over.
        metrics: Of the val split, an epoch.
        value: The best of them, where it came to its end.
        reason: Why it did not.
    """

    number: int
    drawn: dict[str, Any]
    values: dict[str, Any]
    state: str = RUNNING
    metrics: list[float] = field(default_factory=list)
    value: float | None = None
    reason: str = ""


class Record:
    """``search.json`` of a folder: what is searched, and the trials.

    Args:
        folder: Exists.
        asked: JSON-ready: all that trials must have in common.

    Raises:
        BadConfiguration: The folder holds another search.
    """

    def __init__(self, folder: Path, asked: dict[str, Any]):
        self.path, self.asked = folder / "search.json", json.loads(json.dumps(asked))
        self.trials: list[Trial] = []
        if self.path.exists():
            before = json.loads(self.path.read_text(encoding="utf-8"))
            if before["trials"]:  # before the first it may become another
                self._check_same(before["asked"])
            self.trials = [Trial(**one) for one in before["trials"]]

    def write(self) -> None:
        """Write all trials, in one atomic step."""
        write_json(self.path, {"asked": self.asked, "trials": [asdict(t) for t in self.trials]})

    @property
    def over(self) -> list[Trial]:
        """Trials that are not to be run any more."""
        return [one for one in self.trials if one.state != RUNNING]

    def write_table(self, path: Path, monitor: str, settings: Sequence[str]) -> None:
        """Write a row a trial: its number, state, metric, epochs, settings, and why it ended."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["trial", "state", monitor, "epochs", *settings, "reason"])
            for one in self.over:
                values = [one.values[setting] for setting in settings]
                metadata = [one.number, one.state, one.value, len(one.metrics)]
                writer.writerow([*metadata, *values, one.reason])

    def _check_same(self, before: dict[str, Any]) -> None:
        found = [
            f"{path.removeprefix('recipe.')} = {began!r}, not {now!r}"
            for path, began, now in differences(_read(before), _read(self.asked))
        ]
        if found:
            raise BadConfiguration(
                f"{self.path.parent} holds another search: {', '.join(found)}. Give the options it "
                "began with to continue it, or name another --out."
            )


def _read(asked: dict[str, Any]) -> dict[str, Any]:
    """The same with the settings of the recipe in today's words."""
    return {**asked, "recipe": stored(asked.get("recipe", {}))}
