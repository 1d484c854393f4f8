"""The run folder: where it lies, and what is written into it."""

from __future__ import annotations

import contextlib
import csv
import filecmp
import hashlib
import json
import logging
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData, BadWeights

try:
    import fcntl
except ImportError:  # Windows: two processes in one folder go unnoticed
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "digests_by_path",
    "discard",
    "fingerprint",
    "finished",
    "has_interrupted",
    "interrupted",
    "is_done",
    "locked_log",
    "new_folder",
    "read_digests",
    "read_train_counts",
    "recording",
    "stored_settings",
    "write_bad_files",
    "write_json",
    "write_split",
]

ROOT = Path("runs")
PACKAGES = ("keras_transfer", "tensorflow", "keras", "numpy", "scikit-learn")

SERIES = "series.json"
"""The file of a folder whose runs belong together."""

logger = logging.getLogger("keras_transfer")


def new_folder(name: str, out: str | Path | None = None, *, not_inside: Any = None) -> Path:
    """Make the folder of a new run: ``out``, or the next free ``runs/<name>/<n>``.

    Args:
        name: Of the recipe.
        out: The folder, if not the next free one.
        not_inside: The data; if they are a folder, the run must not lie inside it.

    Raises:
        BadConfiguration: ``out`` is there already and not empty, or lies inside the data folder.
    """
    home = Path(out or ROOT).resolve()
    data = Path(not_inside).expanduser().resolve() if isinstance(not_inside, str | Path) else None
    if data and data.is_dir() and home.is_relative_to(data):
        raise BadConfiguration(
            f"The run folder {home} would lie inside the data folder {data}, where it would "
            "be taken for a class. Name an --out elsewhere."
        )
    if out is not None:
        folder = Path(out)
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise BadConfiguration(
                f"{folder} is there already; a run never overwrites. Name another --out, "
                "or go on with an interrupted run by --resume."
            )
        _make(folder, exist_ok=True)
        return folder
    n = 1 + max((_number(one) for one in _runs_of(name)), default=0)
    while True:
        folder = ROOT / name / str(n)
        try:
            _make(folder)
        except FileExistsError:  # another run has just taken this number
            n += 1
        else:
            return folder


def _make(folder: Path, exist_ok: bool = False) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        raise BadConfiguration(f"The folder {folder} cannot be made: {error.strerror}.") from None


def discard(folder: Path) -> None:
    """Remove a folder in which nothing began, and what is empty above it in ``runs``."""
    shutil.rmtree(folder)
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
    return sorted((one for one in home.iterdir() if one.name.isdecimal()), key=_number)


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
    if _status(Path(out)) is None:
        raise BadConfiguration(f"{out} is no run folder, so there is nothing to resume.")
    if _status(Path(out)) == "done":
        raise BadConfiguration(f"{out} is finished; nothing is left to resume.")
    began = json.loads((Path(out) / "run.json").read_text(encoding="utf-8"))["recipe"]
    if began != name:
        raise BadConfiguration(f"{out} is a run of recipe {began!r}, not of {name!r}.")
    return Path(out)


def has_interrupted(name: str) -> bool:
    """Whether a recipe has an unfinished run below the working directory."""
    return bool(_open_runs(name))


def _open_runs(name: str) -> list[Path]:
    return [one for one in _runs_of(name) if _status(one) not in (None, "done")]


def finished(name: str) -> Path | None:
    """The last finished run of a recipe below the working directory."""
    return next((one for one in reversed(_runs_of(name)) if _status(one) == "done"), None)


def is_done(folder: Path) -> bool:
    """Whether the folder holds a finished run."""
    return _status(folder) == "done"


def _status(folder: Path) -> str | None:
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, KeyError):
        return None


def _begun(folder: Path) -> Path:
    """What a command was begun with: the run folder, or that of the series which it is part of."""
    around = [one for one in folder.parents if (one / SERIES).exists()]
    return around[-1] if around else folder


def stored_settings(folder: Path) -> dict[str, Any]:
    """The settings that a run was started with."""
    return yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))


@contextlib.contextmanager
def recording(
    folder: Path, name: str, kind: str, settings: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Write what is run, with which versions, how it ended, and its log, around a run.

    Yields:
        What ``run.json`` will say; the run adds to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {"recipe": name, "kind": kind, "status": "running"}
    metadata.update(
        cwd=os.getcwd(), versions=_versions(), started=time.strftime("%Y-%m-%dT%H:%M:%S%z")
    )
    began, fresh = time.perf_counter(), not (folder / "run.json").exists()
    handler = locked_log(folder)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    write_json(folder / "run.json", metadata)
    try:
        yield metadata
        metadata["status"] = "done"
    except KeyboardInterrupt:
        metadata["status"] = "interrupted"
        logger.warning("Stopped. The same command with --out %s --resume goes on.", _begun(folder))
        raise
    except Exception as error:
        metadata.update(status="failed", error=f"{type(error).__name__}: {error}")
        fresh = fresh and isinstance(error, BadConfiguration | BadData | BadWeights)
        raise
    finally:
        metadata.setdefault("seconds", {})["total"] = round(time.perf_counter() - began, 3)
        write_json(folder / "run.json", metadata)
        logger.removeHandler(handler)
        handler.close()
        if metadata["status"] == "failed" and fresh and not (folder / "best.keras").exists():
            discard(folder)  # nothing was trained: leave the name free for the next try


def locked_log(folder: Path) -> logging.FileHandler:
    """The handler of the run's log, whose file is locked until it is closed or the process ends.

    Raises:
        BadConfiguration: Another process is running in this folder.
    """
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    assert handler.stream is not None
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    if fcntl is not None:
        try:
            fcntl.flock(handler.stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handler.close()
            raise BadConfiguration(
                f"Another process is running in {folder}; wait for it, or stop it first."
            ) from None
    logger.addHandler(handler)
    return handler


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one atomic step."""
    beside = path.with_suffix(".tmp")
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    beside.write_text(text + "\n", encoding="utf-8")
    os.replace(beside, path)


SPLIT_COLUMNS = ("path", "label", "split", "group", "digest")


def write_split(path: Path, samples: Samples) -> None:
    """Write the table of samples: path, label, part, group, digest of the content.

    Raises:
        BadData: The folder holds another table: the data have changed since the run began.
    """
    beside = path.with_suffix(".tmp")
    _write_table(beside, SPLIT_COLUMNS, _split_rows(samples))
    if path.exists() and not filecmp.cmp(path, beside, shallow=False):
        beside.unlink()
        raise BadData(
            f"The data are not those that the run in {path.parent} began with (see {path}); "
            "put them back, or start a new run without --resume."
        )
    os.replace(beside, path)


def _split_rows(samples: Samples) -> Iterable[tuple[Any, ...]]:
    names = np.asarray(samples.classes, object)[samples.labels]
    columns = (samples.keys, names, samples.splits, samples.groups, samples.digests)
    return zip(*columns, strict=True)


def write_bad_files(path: Path, samples: Samples, reasons: np.ndarray) -> None:
    """Write path and reason of each image that cannot be used; no file where there is none."""
    bad = reasons != ""
    if bad.any():
        _write_table(path, ("path", "reason"), zip(samples.keys[bad], reasons[bad], strict=True))


def _write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def fingerprint(split: Path) -> dict[str, str]:
    """A hash that changes when the table of samples does: images, labels, parts or contents."""
    return {"split.csv": hashlib.sha256(split.read_bytes()).hexdigest()}


def read_train_counts(path: Path, classes: Sequence[str]) -> list[int]:
    """Images of each class in the train split of a split table."""
    with path.open(newline="", encoding="utf-8") as file:
        labels = Counter(row["label"] for row in csv.DictReader(file) if row["split"] == "train")
    return [labels[name] for name in classes]


def read_digests(path: Path, splits: Iterable[str]) -> set[str]:
    """Content digests of the images in some parts of a split table."""
    wanted = set(splits)
    with path.open(newline="", encoding="utf-8") as file:
        return {row["digest"] for row in csv.DictReader(file) if row["split"] in wanted}


def digests_by_path(path: Path) -> dict[str, str]:
    """Content digests of the images of a split table, by path; none where it is not there."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["path"]: row["digest"] for row in csv.DictReader(file)}
