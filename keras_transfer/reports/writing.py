"""Write the page of a run or of a study and the model card, or say why there is none."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from keras_transfer.atomic import write_bytes
from keras_transfer.errors import BadConfiguration
from keras_transfer.reports.studies.table import study_in
from keras_transfer.runs.records import RUN
from keras_transfer.runs.run import Run

__all__ = [
    "CARD",
    "FILE",
    "after_run",
    "after_study",
    "check_installed",
    "check_page",
    "write_card",
    "write_page",
    "write_report",
]

FILE = "report.html"
CARD = "README.md"
NEEDED = ("jinja2", "matplotlib")
INSTALL = "pip install 'keras_transfer[report]'"
KNOWN = (
    "Name the folder of a run, or one that run --seeds, curve, tune, lr-find, rank or domains has "
    "written. kt-recipe check writes its own check.html."
)
OFF = ("0", "off", "no", "false")

MAP_SECONDS = 6.0
"""Time for deletion scores of heat maps, besides the loading of the model and the maps."""

MIN_SECONDS = 60
"""A run that took less has no heat maps in its first page: loading the model and computing them
would take more than a tenth of its time."""

MAP_SHARE = 0.03
"""Of the time of a run, for deletion scores at its end."""

logger = logging.getLogger("keras_transfer")


def write_report(
    folder: str | Path,
    data: Any = None,
    to: Path | None = None,
    *,
    map_seconds: float | None = None,
) -> Path:
    """Write ``report.html`` into the folder of a run or of a study.

    Args:
        folder: Of a finished run; or of a series over seeds, a curve, a search, a sweep, a ranking
            or a comparison of domains.
        data: Where its examples are now: a spec, or arrays; None: where they were.
        to: The file; None: in the folder.
        map_seconds: For deletion scores of heat maps that are not in the folder yet, which take the
            model, e.g. ``MAP_SECONDS``; None: only those that are there are shown.

    Returns:
        The file.

    Raises:
        BadConfiguration: The folder holds nothing finished, cannot be written to, or the extra
            ``report`` is not installed.
        BadData: A file of the run is damaged; or its examples cannot be read, and ``data`` names
            them, or there is a report already.
    """
    check_installed()
    from keras_transfer.reports.page import render  # it imports Jinja and Matplotlib

    if (study := study_in(Path(folder))) is not None:
        if data is not None:
            raise BadConfiguration(f"--data is for runs, and {folder} holds a study. Leave it out.")
        from keras_transfer.reports.study import render_study

        return write_page(to or Path(folder) / FILE, render_study(study.page(Path(folder))))
    if not (Path(folder) / RUN).exists():
        raise BadConfiguration(f"{folder} holds no run and no study. {KNOWN}")
    run = Run(folder)
    path = to or run.folder / FILE
    # A page with images, or one for images that were named, must not become one without.
    page = render(run, data, complete=data is not None or path.exists(), map_seconds=map_seconds)
    write_page(path, page)
    _attempt(run.folder / CARD, lambda: write_card(run))
    return path


def write_page(path: Path, page: str) -> Path:
    """Write a page.

    Args:
        path: The file.
        page: HTML.

    Returns:
        The file.

    Raises:
        BadConfiguration: It cannot be written.
    """
    try:
        write_bytes(path, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written: {error.strerror}.") from None
    return path


def check_page(path: Path) -> None:
    """Refuse a file that a browser would not take for a page, or that cannot be written.

    Raises:
        BadConfiguration: The extra ``report`` is not installed; or the file's name does not end in
            .html, or its folder is not there.
    """
    check_installed()
    if path.suffix.lower() not in (".html", ".htm"):
        raise BadConfiguration(f"{path} should end in .html: a page is written.")
    if not path.parent.is_dir():
        raise BadConfiguration(f"{path} cannot be written: there is no folder {path.parent}.")


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


def after_study(folder: Path) -> None:
    """Write the page of a study that has just ended; a failure is logged, no more.

    Args:
        folder: Of the study.
    """
    if _is_off():
        return
    if _missing():
        logger.info("No %s: %s brings what it needs", FILE, INSTALL)
        return
    _attempt(folder / FILE, lambda: logger.info("Report: %s", write_report(folder)))


def after_run(folder: Path, source: Any) -> None:
    """Write report and model card of a run that has just ended; a failure is logged, no more.

    Args:
        folder: The run folder.
        source: The data: a spec string, or arrays, which nobody can read again later.
    """
    if _is_off():
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


def _is_off() -> bool:
    return os.environ.get("KT_REPORT", "").lower() in OFF


def _missing() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]
