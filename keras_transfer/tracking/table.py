"""The table of trackers, and which of them a run has."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.runs.records import read_json
from keras_transfer.tables import Table
from keras_transfer.tracking.addresses import MLFLOW_URI
from keras_transfer.tracking.base import Tracker

__all__ = ["NONE", "STATE", "TRACKERS", "TrackerSpec", "chosen"]

NONE = "none"
STATE = "tracking.json"
"""What finds a run again in its trackers, in the run directory."""

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True)
class TrackerSpec:
    """A tracker.

    Attributes:
        path: Its class, as ``module:name``.
        packages: What must be installed.
        extra: Of this package, that installs them.
    """

    # A name, imported on use: none of these packages is needed without it.
    path: str
    packages: tuple[str, ...] = ()
    extra: str = ""

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]

    @property
    def install(self) -> str:
        """The command that installs them."""
        return f"pip install 'keras_transfer[{self.extra}]'"

    def make(self) -> Tracker:
        """A new tracker, for one run."""
        module, name = self.path.split(":")
        return getattr(import_module(module), name)()


TRACKERS: Table[TrackerSpec] = Table(
    "tracker",
    {
        "mlflow": TrackerSpec(
            "keras_transfer.tracking.mlflow:MLflow", ("mlflow", "sqlalchemy", "alembic"), "mlflow"
        ),
        "wandb": TrackerSpec("keras_transfer.tracking.wandb:WandB", ("wandb",), "wandb"),
        "tensorboard": TrackerSpec("keras_transfer.tracking.tensorboard:TensorBoard"),
    },
)


def chosen(track: str | Iterable[str] = (), folder: Path | None = None) -> tuple[str, ...]:
    """Names of the trackers of a run, which can be used here.

    Args:
        track: Names, or a text such as "mlflow,tensorboard"; "none" means no tracker at all. If
            there is none, those that the run began with, and mlflow where ``MLFLOW_TRACKING_URI``
            is set.
        folder: Directory of a run that is resumed.

    Returns:
        Names of ``TRACKERS``, without repetitions.

    Raises:
        UnknownName: There is no such tracker.
        BadConfiguration: A package that it needs is not installed, or it is not set up.
    """
    asked = [name for text in ([track] if isinstance(track, str) else track) for name in _in(text)]
    for name in asked:
        if name not in (*TRACKERS, NONE):
            raise UnknownName("tracker", name, (*TRACKERS, NONE)).within("track")
    if NONE in asked:
        if set(asked) != {NONE}:
            raise BadConfiguration(f"track = {', '.join(asked)}: none excludes all others.")
        return ()
    names = dict.fromkeys([*asked, *_begun_with(folder)])
    for name in names:
        _check(name)
    if not asked and MLFLOW_URI in os.environ and "mlflow" not in names:
        if TRACKERS["mlflow"].missing:
            logger.warning(
                "Warning: %s is set, but this run is not tracked: MLflow is not installed. %s "
                "brings it.",
                MLFLOW_URI,
                TRACKERS["mlflow"].install,
            )
        else:
            names["mlflow"] = None
    return (*names,)


def _in(text: str) -> list[str]:
    return [*filter(None, map(str.strip, text.split(",")))]


def _check(name: str) -> None:
    row = TRACKERS[name]
    if row.missing:
        raise BadConfiguration(
            f"track = {name} needs {' and '.join(row.missing)}: {row.install}, or --track none."
        )
    row.make().check()


def _begun_with(folder: Path | None) -> list[str]:
    """Trackers of an interrupted run; those of a later version of this package are left out."""
    path = folder / STATE if folder else None
    if path is None or not path.exists():
        return []
    try:
        return [name for name in read_json(path, dict) if name in TRACKERS]
    except BadData as error:  # the run itself does not need it
        logger.warning("Warning: only trackers of --track know of this run. %s", error)
        return []
