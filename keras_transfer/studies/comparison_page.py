"""The page of a comparison: the numbers of ``kt-recipe compare``, with the examples behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.reports.writing import check_installed, write_page
from keras_transfer.runs.series import runs_of
from keras_transfer.runs.shared_examples import align_runs
from keras_transfer.runs.split_table import read_rows
from keras_transfer.studies.comparison import compare_runs

__all__ = ["PAGE", "write_comparison"]

PAGE = "comparison.html"

SHOWN = (24, 12, 6, 3, 0)
"""Most examples of each sort; fewer where the page would be too large."""


def write_comparison(
    folders: Sequence[str], path: str | Path = PAGE, data: Any = None, resamples: int = 2000
) -> Path:
    """Compare runs with the first one, and write a page.

    Args:
        folders: Of two or more runs or series.
        path: The file.
        data: Where the examples are now: a spec; None: where they were.
        resamples: Number of resamples of the bootstrap.

    Returns:
        The file.

    Raises:
        BadConfiguration: As ``compare_runs`` raises it; or the file cannot be written, or the
            extra ``report`` is not installed.
        BadData: As ``compare_runs`` raises it.
    """
    check_installed()
    from keras_transfer.reports.comparison import Compared, comparison_page
    from keras_transfer.reports.examples import Examples
    from keras_transfer.reports.gallery import Gallery
    from keras_transfer.reports.study import render_study
    from keras_transfer.reports.templates import MAX_BYTES

    document = compare_runs(folders, resamples)
    models = [runs_of(folder) for folder in folders]
    outputs = models[0][0].outputs
    aligned = {
        name: align_runs(models, name, output.objective)[0] for name, output in outputs.items()
    }
    found = Compared(folders, models, document, aligned)
    first = models[0][0]
    gallery = Gallery(Examples(first, read_rows(first.split), data))
    both = [one for name in outputs for one in found.disagreements(name)]
    gallery.load(key for one in both for key in one.keys(SHOWN[0]))
    for most in SHOWN:
        page = render_study(comparison_page(found, gallery, most))
        if len(page.encode()) < MAX_BYTES:
            break
    return write_page(Path(path), page)
