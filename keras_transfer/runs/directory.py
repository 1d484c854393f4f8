"""The run folder: its path, metadata and log."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from keras_transfer.atomic import is_unfinished, remove_unfinished
from keras_transfer.clock import check_clock
from keras_transfer.errors import BadConfiguration, BadData, BadWeights
from keras_transfer.features.locks import lock
from keras_transfer.runs.records import (
    RUN,
    SERIES,
    final_files,
    read_record,
    write_record,
    write_settings,
)

__all__ = [
    "check_free",
    "discard",
    "finished",
    "has_interrupted",
    "interrupted",
    "is_done",
    "is_only_begun",
    "locked_log",
    "new_folder",
    "recording",
]

ROOT = Path("runs")
LOG = "log.txt"
REQUIRED = {"recipe": str, "status": str}
"""What ``run.json`` must have."""

PACKAGES = ("keras_transfer", "tensorflow", "keras", "numpy", "scikit-learn")

logger = logging.getLogger("keras_transfer")


def new_folder(name: str, out: str | Path | None = None, *, not_inside: Any = None) -> Path:
    """Make the folder of a new run: ``out``, or the next free ``runs/<name>/<n>``.

    Args:
        name: Of the recipe.
        out: The folder, if not the next free one.
        not_inside: The data; if they are a folder, the run must not lie inside it.

    Raises:
        BadConfiguration: ``out`` is there already and not empty, or lies inside the data folder;
            or the system clock is not set.
    """
    check_free(out, not_inside)
    if out is not None:
        folder = Path(out)
        _make(folder, exist_ok=True)
        return folder
    # After the highest number, not the first gap: a removed run's number never means another run.
    n = 1 + max((_number(folder) for folder in _runs_of(name)), default=0)
    while True:
        folder = ROOT / name / str(n)
        try:
            # mkdir is atomic, so two runs that start together cannot get the same folder.
            _make(folder)
        except FileExistsError:  # another run has just taken this number
            n += 1
        else:
            return folder


def check_free(out: str | Path | None = None, not_inside: Any = None) -> None:
    """Check that a new run may have a folder; see ``new_folder``."""
    check_clock()
    # Resolved, since a symbolic link or ".." would hide that one folder lies in the other.
    home = Path(out or ROOT).resolve()
    data = Path(not_inside).expanduser().resolve() if isinstance(not_inside, str | Path) else None
    if data and os.path.isdir(data) and home.is_relative_to(data):
        raise BadConfiguration(
            f"The run folder {home} would lie inside the data folder {data}, where it would "
            "be read as a class. Name an --out elsewhere."
        )
    if out is not None:
        folder = Path(out)
        if folder.is_file() or (folder.is_dir() and not is_only_begun(folder)):
            raise BadConfiguration(
                f"{folder} already exists; a run never overwrites. Name another --out, "
                "or resume an interrupted run by --resume."
            )


def _make(folder: Path, exist_ok: bool = False) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        raise BadConfiguration(f"The folder {folder} cannot be made: {error.strerror}.") from None


def discard(folder: Path) -> None:
    """Remove the folder of a run that did not start, and empty parents in ``runs``."""
    shutil.rmtree(folder)
    # rmdir removes empty folders only, so earlier runs are safe.
    with contextlib.suppress(OSError):  # not empty
        for above in folder.parents:
            if not above.resolve().is_relative_to(ROOT.resolve()):
                break
            above.rmdir()


def _number(folder: Path) -> int:
    return int(folder.name)


def _runs_of(name: str) -> list[Path]:
    """Numbered run folders of a recipe below the working directory, oldest first."""
    home = ROOT / name
    if not home.is_dir():
        return []
    # By number: as text, 10 would come before 9. Other folders are lr_find and tune.
    return sorted((path for path in home.iterdir() if path.name.isdecimal()), key=_number)


def interrupted(name: str, out: str | Path | None = None) -> Path:
    """The folder of an interrupted run: ``out``, or the last one of a recipe.

    Raises:
        BadConfiguration: There is none, or it is finished.
    """
    if out is None:
        open_ones = _open_runs(name)
        if not open_ones:
            raise BadConfiguration(
                f"No run of {name!r} below {(ROOT / name).resolve()} is unfinished. Name the "
                "folder of the interrupted run by --out, or leave out --resume."
            )
        return open_ones[-1]
    folder = Path(out)
    if is_only_begun(folder):
        return folder
    if not (folder / RUN).exists():
        raise BadConfiguration(f"{out} is no run folder, so there is nothing to resume.")
    metadata = read_record(folder / RUN, REQUIRED)
    if metadata["status"] == "done":
        raise BadConfiguration(f"{out} is finished; there is nothing to resume.")
    # Another recipe's state would not fit its network, or worse, would fit and be continued.
    if metadata["recipe"] != name:
        raise BadConfiguration(f"{out} is a run of recipe {metadata['recipe']!r}, not of {name!r}.")
    return folder


def is_only_begun(folder: Path) -> bool:
    """Whether a folder is empty, or a run in it was killed before it recorded anything."""
    return folder.is_dir() and all(
        path.name == LOG or is_unfinished(path) for path in folder.iterdir()
    )


def has_interrupted(name: str) -> bool:
    """Whether a recipe has an unfinished run below the working directory."""
    return bool(_open_runs(name))


def _open_runs(name: str) -> list[Path]:
    return [folder for folder in _runs_of(name) if _known_status(folder) not in (None, "done")]


def finished(name: str) -> Path | None:
    """The last finished run of a recipe below the working directory."""
    done = (folder for folder in reversed(_runs_of(name)) if _known_status(folder) == "done")
    return next(done, None)


def is_done(folder: Path) -> bool:
    """Whether the folder holds a finished run.

    Raises:
        BadData: The record of the run is damaged.
    """
    return _status(folder) == "done"


def _status(folder: Path) -> str | None:
    if is_only_begun(folder):
        return "begun"
    return read_record(folder / RUN, REQUIRED)["status"] if (folder / RUN).exists() else None


def _known_status(folder: Path) -> str | None:
    """The same where one of several runs is looked for: a damaged one is named and passed over."""
    try:
        return _status(folder)
    except BadData as error:
        logger.warning("Warning: the run in %s is passed over. %s", folder, error)
        return None


def _begun(folder: Path) -> Path:
    """The folder of the command: the run's, or that of its series."""
    around = [run_folder for run_folder in folder.parents if (run_folder / SERIES).exists()]
    # The outermost series: --resume belongs to the command that the user gave.
    return around[-1] if around else folder


@contextlib.contextmanager
def recording(
    folder: Path, name: str, kind: str, settings: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Record a run: metadata, versions, status and log.

    Yields:
        What ``run.json`` will say; the run adds to it.

    Raises:
        BadConfiguration: The system clock is not set.
    """
    check_clock()  # a resumed run has its folder already
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {"recipe": name, "kind": kind, "status": "running"}
    metadata.update(
        cwd=os.getcwd(), versions=_versions(), started=time.strftime("%Y-%m-%dT%H:%M:%S%z")
    )
    # perf_counter: the wall clock may be set back during a run. A resumed run is never discarded.
    began, fresh = time.perf_counter(), not (folder / RUN).exists()
    # The lock comes first: files of a run that another process is writing stay untouched.
    handler = locked_log(folder)
    for place in (folder, *folder.glob("members/*")):
        remove_unfinished(place)
    # Before all else, so that a run that is killed is found as unfinished. Without a checksum of
    # the settings, whose format may change with a new version of this package.
    write_record(folder / RUN, metadata)
    metadata.update(write_settings(folder, settings))
    write_record(folder / RUN, metadata)
    try:
        yield metadata
        metadata.update(final_files(folder), status="done")
    # Not an Exception, so it needs its own branch; the training has saved its state by now.
    except KeyboardInterrupt:
        metadata["status"] = "interrupted"
        logger.warning(
            "Stopped. Resume with the same command and --out %s --resume.", _begun(folder)
        )
        raise
    except Exception as error:
        metadata.update(status="failed", error=f"{type(error).__name__}: {error}")
        # Only what the user can correct; after a bug the folder holds the evidence.
        fresh = fresh and isinstance(error, BadConfiguration | BadData | BadWeights)
        raise
    finally:
        metadata.setdefault("seconds", {})["total"] = round(time.perf_counter() - began, 3)
        write_record(folder / RUN, metadata)
        logger.removeHandler(handler)
        handler.close()
        if metadata["status"] == "failed" and fresh and not (folder / "best.keras").exists():
            discard(folder)  # nothing was trained: free the name


class _Log(logging.FileHandler):
    """A file of log lines, which are lost where the disk is full.

    Python would print a traceback for each; the file that matters says that the disk is full.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave out a line that cannot be written."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, and give up what could not be written."""
        with contextlib.suppress(OSError):
            super().close()


def locked_log(folder: Path) -> logging.FileHandler:
    """The handler of the run's log, whose file is locked until it is closed or the process ends.

    Raises:
        BadConfiguration: Another process is running in this folder.
    """
    # Appends, so opening it before the lock is taken harms no other run, and a resumed run adds to
    # it.
    handler = _Log(folder / LOG, encoding="utf-8")
    assert handler.stream is not None
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    if lock(handler.stream, exclusive=True, wait=False) is False:
        handler.close()
        raise BadConfiguration(
            f"Another process is running in {folder}; wait for it, or stop it first."
        )
    logger.addHandler(handler)
    return handler


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
