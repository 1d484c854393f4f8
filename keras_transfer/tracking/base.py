"""What a tracker does, and what it is told of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Plain", "TrackedRun", "Tracker"]

Plain = str | int | float | bool


class TrackedRun(NamedTuple):
    """A run whose training begins.

    Attributes:
        recipe: Name of the recipe.
        folder: The run directory.
        parameters: All settings by path, such as "head.dropout" or "stages.0.epochs".
        tags: What is known of it besides: the workflow, versions, hash of the split table.
        series: Name of the series of runs that it belongs to; "" if it is alone.
    """

    recipe: str
    folder: Path
    parameters: Mapping[str, Plain]
    tags: Mapping[str, str]
    series: str = ""

    @property
    def name(self) -> str:
        """Name of the run, such as "vgg16_catsdogs/3"."""
        absolute = self.folder.resolve()
        return f"{absolute.parent.name}/{absolute.name}"


class Tracker(ABC):
    """A place that keeps the parameters, metrics and files of runs.

    Whatever its methods raise, once ``check`` has passed, costs the run nothing but a warning.
    """

    def check(self) -> None:  # noqa: B027
        """Refuse what cannot work, before the data are read.

        Raises:
            BadConfiguration: Something is missing that the user can mend.
        """

    @abstractmethod
    def begin(self, run: TrackedRun, known: Mapping[str, str]) -> dict[str, str]:
        """Start to track a run, or continue to.

        Args:
            run: The run.
            known: What this returned when the run began; empty for a new one.

        Returns:
            What finds the run again in this tracker, and "where" for the log.
        """

    def describe(self, run: TrackedRun) -> None:  # noqa: B027
        """Record the settings of a run that has begun, if ``begin`` does not.

        Called until it has worked once, so that a run which began is found again if this fails.

        Args:
            run: The run.
        """

    @abstractmethod
    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record an epoch.

        Args:
            step: Number of the epoch over all stages, from 1.
            metrics: By the names of ``history.csv``; "stage" is the number of the stage, from 1.
        """

    @abstractmethod
    def finish(self, metrics: Mapping[str, float], files: list[Path]) -> None:
        """Record the results of a finished run.

        Args:
            metrics: By path, such as "test/accuracy" and "baselines/majority/accuracy".
            files: Files of the run directory to keep.
        """

    @abstractmethod
    def stop(self, status: str) -> None:
        """Note that the run did not finish.

        Args:
            status: "failed" or "interrupted".
        """
