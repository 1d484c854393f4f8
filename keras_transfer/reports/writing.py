"""Write the report and the model card of a run, or say why there is none."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from keras_transfer.atomic import write_bytes
from keras_transfer.errors import BadConfiguration
from keras_transfer.runs.run import Run
from keras_transfer.runs.series import stored_series

__all__ = ["CARD", "FILE", "after_run", "check_installed", "write_card", "write_report"]

FILE = "report.html"
CARD = "README.md"
NEEDED = ("jinja2", "matplotlib")
INSTALL = "pip install 'keras_transfer[report]'"
OFF = ("0", "off", "no", "false")

MAP_SECONDS = 6.0
"""Time for deletion scores of heat maps, besides the loading of the model and the maps."""

MIN_SECONDS = 60
"""A run that took less has no heat maps in its first page: loading the model and computing them
would take more than a tenth of its time."""

MAP_SHARE = 0.03
"""Of the time of a run, for deletion scores at its end."""

logger = logging.getLogger("keras_transfer")


def write_report(folder: str | Path, data: Any = None, *, map_seconds: float | None = None) -> Path:
    """Write ``report.html`` into a run folder.

    Args:
        folder: Of a finished run.
        data: Where its examples are now: a spec, or arrays; None: where they were.
        map_seconds: For deletion scores of heat maps that are not in the folder yet, which take the
            model, e.g. ``MAP_SECONDS``; None: only those that are there are shown.

    Returns:
        The file.

    Raises:
        BadConfiguration: The folder holds no finished run, cannot be written to, or the extra
            ``report`` is not installed.
        BadData: A file of the run is damaged; or its examples cannot be read, and ``data`` names
            them, or there is a report already.
    """
    check_installed()
    from keras_transfer.reports.page import render  # it imports Jinja and Matplotlib

    if series := stored_series(folder):
        listed = ", ".join(map(str, series.get("runs", [])[:6]))
        raise BadConfiguration(f"{folder} is a series of runs; name one of them: {listed}.")
    run = Run(folder)
    path = run.folder / FILE
    # A page with images, or one for images that were named, must not become one without.
    page = render(run, data, complete=data is not None or path.exists(), map_seconds=map_seconds)
    try:
        write_bytes(path, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written: {error.strerror}.") from None
    _attempt(run.folder / CARD, lambda: write_card(run))
    return path


def write_card(run: Run) -> Path:
    """Write ``README.md``, the model card, into a run folder; one that is there may be edited.

    Args:
        run: A finished run.

    Returns:
        The file.
    """
    from keras_transfer.reports.model_card import model_card

    path = run.folder / CARD
    if not path.exists():
        write_bytes(path, model_card(run).encode("utf-8", "backslashreplace"))
    return path


def check_installed() -> None:
    """Refuse a report without the packages that make it.

    Raises:
        BadConfiguration: Some are not installed; it says how to install them.
    """
    if missing := _missing():
        raise BadConfiguration(
            f"A report needs packages that are not installed: {', '.join(missing)}. {INSTALL} "
            "brings them."
        )


def after_run(folder: Path, source: Any) -> None:
    """Write report and model card of a run that has just ended; a failure is logged, no more.

    Args:
        folder: The run folder.
        source: The data: a spec string, or arrays, which nobody can read again later.
    """
    if os.environ.get("KT_REPORT", "").lower() in OFF:
        return
    if _missing():
        logger.info("No %s: %s brings what it needs", FILE, INSTALL)
    else:
        _attempt(folder / FILE, lambda: logger.info("Report: %s", _first_report(folder, source)))
    # Second: it names the report, if there is one.
    _attempt(folder / CARD, lambda: write_card(Run(folder)))


def _first_report(folder: Path, source: Any) -> Path:
    """The report at the end of a run, which must not take more than a tenth of its time."""
    total = Run(folder).metadata.get("seconds", {}).get("total", 0)
    seconds = min(MAP_SHARE * total, MAP_SECONDS) if total >= MIN_SECONDS else None
    data = None if isinstance(source, str | Path) else source
    return write_report(folder, data, map_seconds=seconds)


def _attempt(path: Path, write: Callable[[], Any]) -> None:
    try:
        write()
    except Exception as error:  # the run is done and must not be lost
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        logger.warning("Warning: %s was not written. %s", path, reason)


def _missing() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]
