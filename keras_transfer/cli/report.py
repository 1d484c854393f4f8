"""``kt-recipe report``: a page of a run or a study, or of several runs side by side."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from keras_transfer.quiet import import_tensorflow

__all__ = ["report"]


@click.command()
@click.argument("folders", type=click.Path(), nargs=-1, required=True, metavar="FOLDER...")
@click.option("--data", help="Where the examples are now, if they have moved.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="The file.  [report.html in the folder; of several runs comparison.html]",
)
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
def report(folders: tuple[str, ...], data: str | None, to: Path | None, show: bool) -> None:
    """Write the page of a run or of a study, and print its path.

    FOLDER is a finished run, or that of run --seeds, curve, tune, lr-find, rank or domains. Two
    or more runs, or series over seeds, are compared on one page, as kt-recipe compare does.

    A page is one file without scripts. Runs and studies write theirs at their end; KT_REPORT=0
    switches that off.
    """
    from keras_transfer.reports.writing import (
        MAP_SECONDS,
        check_installed,
        check_page,
        write_report,
    )

    check_installed()
    if to is not None:
        check_page(to)
    import_tensorflow()
    if len(folders) == 1:
        path = write_report(folders[0], data, to, map_seconds=MAP_SECONDS)
    else:
        from keras_transfer.studies.comparison_page import PAGE, write_comparison

        path = write_comparison(folders, to or PAGE, data)
    click.echo(str(path))
    if show and not webbrowser.open(path.resolve().as_uri()):
        click.echo("No browser was found; open the file yourself.", err=True)
