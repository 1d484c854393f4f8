"""Series of runs in one folder: one recipe with several seeds, or a learning curve."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_transfer.errors import BadConfiguration, TransferError
from keras_transfer.runs.directory import ROOT, discard, is_only_begun
from keras_transfer.runs.records import SERIES, read_record, write_record, write_settings
from keras_transfer.runs.run import Run

REQUIRED = {"recipe": str, "kind": str, "status": str}

__all__ = ["interrupted_series", "recorded_series", "runs_of", "stored_series"]


@contextlib.contextmanager
def recorded_series(
    folder: Path, metadata: dict[str, Any], settings: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Record a series: metadata and status.

    Args:
        folder: Of the series; its runs lie in folders below it.
        metadata: "recipe", "kind" ("seeds" or "curve"), and what was asked for.
        settings: Of the recipe that all have in common.

    Yields:
        What ``series.json`` will say; whoever runs it adds "runs", their folders, and metrics.
    """
    metadata = {**metadata, "status": "running"}
    # Before all else, so that a series that is killed is found as unfinished.
    write_record(folder / SERIES, metadata)
    metadata.update(write_settings(folder, settings))
    write_record(folder / SERIES, metadata)
    try:
        yield metadata
        metadata["status"] = "done"
    # BaseException: Ctrl-C must be recorded too, as interrupted rather than failed.
    except BaseException as error:
        metadata["status"] = "failed" if isinstance(error, Exception) else "interrupted"
        raise
    finally:
        if metadata["status"] == "failed" and not any(folder.rglob("run.json")):
            discard(folder)  # the first run could not even begin: leave the name free
        else:
            write_record(folder / SERIES, metadata)


def stored_series(folder: str | Path) -> dict[str, Any] | None:
    """Content of ``series.json``; None if the folder holds no series.

    Raises:
        BadData: The file is damaged.
    """
    path = Path(folder) / SERIES
    return read_record(path, REQUIRED) if path.exists() else None


def interrupted_series(name: str, kind: str, out: str | Path | None = None) -> Path:
    """The folder of an unfinished series: ``out``, or the last one of a recipe.

    Raises:
        BadConfiguration: There is none, or it is finished, or another one.
    """
    home = ROOT / name
    numbered = [path for path in home.glob("*") if path.name.isdecimal()]
    folders = [Path(out)] if out is not None else sorted(numbered, key=lambda path: int(path.name))
    expected = {"recipe": name, "kind": kind}
    if out is not None and is_only_begun(folders[0]):
        return folders[0]
    for folder in reversed(folders):
        metadata = stored_series(folder)
        # "running" counts as unfinished: after SIGKILL nobody changes the status.
        if metadata and metadata["status"] != "done" and metadata.items() >= expected.items():
            return folder
    raise BadConfiguration(
        f"{out or home.resolve()} holds no unfinished series of {name!r} ({kind}), so there is "
        "nothing to resume."
    )


def runs_of(folder: str | Path) -> list[Run]:
    """The runs in a folder: that of a run itself, or those of a series over seeds.

    Raises:
        BadConfiguration: It holds neither, or one that is not finished.
    """
    metadata = stored_series(folder)
    if metadata is None:
        return [Run(folder)]
    if metadata["status"] != "done":
        raise BadConfiguration(
            f"The series in {folder} is not finished (it is {metadata['status']!r}). Finish it: "
            f"the command that began it, with --out {folder} --resume."
        )
    # Runs of a curve differ in their training images, so their mean says nothing.
    if metadata["kind"] != "seeds":
        raise BadConfiguration(
            f"{folder} is a {metadata['kind']} of runs on different examples; name one of its "
            f"runs: {', '.join(metadata['runs'][:6])}."
        )
    try:
        return [Run(Path(folder) / place) for place in metadata["runs"]]
    except TransferError as error:
        raise BadConfiguration(f"The series in {folder} is incomplete. {error}") from None
