"""Files of a learning rate range test: curve, suggestions, plot."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_transfer.atomic import write_csv
from keras_transfer.errors import CheckFailed
from keras_transfer.runs.directory import discard, new_folder
from keras_transfer.runs.records import read_record, write_record
from keras_transfer.training.lr_finder import RULES, Sweep

__all__ = ["CURVE", "FILE", "new_sweep", "stored_sweep", "write_sweep"]

FILE, CURVE = "lr_find.json", "lr_find.csv"

logger = logging.getLogger("keras_transfer")


@contextlib.contextmanager
def new_sweep(
    name: str, out: str | Path | None = None, *, not_inside: Any = None
) -> Iterator[Path]:
    """A new folder for a sweep; removed if the sweep writes no curve.

    Args:
        name: Of the recipe.
        out: The folder; ``runs/<name>/lr_find/<n>`` if None.
        not_inside: As for ``new_folder``.
    """
    folder = new_folder(f"{name}/lr_find", out, not_inside=not_inside)
    try:
        yield folder
        if (found := stored_sweep(folder)) is not None:  # its page says which command goes on
            write_record(folder / FILE, {"recipe": name, **found})
    except BaseException as error:
        # Where no rule holds the curve shows why.
        if not (isinstance(error, CheckFailed) and (folder / CURVE).exists()):
            discard(folder)
        raise


def stored_sweep(folder: Path) -> dict[str, Any] | None:
    """Result of a sweep in this folder, as ``write_sweep`` returned it; None without a sweep."""
    path = folder / FILE
    return read_record(path, {"learning_rate": float}) if path.exists() else None


def write_sweep(folder: Path, seen: Sweep) -> dict[str, Any]:
    """Write ``lr_find.csv``, ``lr_find.png`` and, last, ``lr_find.json``.

    Returns:
        "learning_rate", the "rule" that suggests it, and what all "rules" suggest.

    Raises:
        CheckFailed: No rule holds; the table is written all the same.
    """
    rows = zip(*seen, seen.smoothed.tolist(), strict=True)
    write_csv(folder / CURVE, ("learning_rate", "loss", "smoothed"), rows)
    rules = seen.suggestions()
    rule = next(iter(RULES))
    suggestions = {"learning_rate": rules[rule], "rule": rule, "rules": rules}
    _plot(folder / "lr_find.png", seen, rules)
    # Last: the file marks a finished sweep, which a resumed run does not repeat.
    write_record(folder / FILE, suggestions)
    return suggestions


def _plot(path: Path, seen: Sweep, rules: dict[str, float]) -> None:
    try:
        from keras_transfer.evaluation.plots import plot_sweep
    # Matplotlib is an extra; a missing plot must not end a run.
    except ImportError:
        logger.info("No lr_find.png: pip install 'keras_transfer[plots]' brings Matplotlib")
        return
    plot_sweep(path, seen.rates, seen.losses, seen.smoothed, rules)
