"""``kt-recipe report RUN``: a page that says how good a model is, and where it fails."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from keras_transfer.quiet import import_tensorflow

__all__ = ["report"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--data", help="Where the run's examples are now, if they have moved.")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
def report(run: Path, data: str | None, show: bool) -> None:
    """Write report.html into the folder of a finished run, and print its path.

    It is one file without scripts: verdict, mistakes, confused classes, calibration, curves, data,
    settings. A run writes it at its end; KT_REPORT=0 switches that off.
    """
    from keras_transfer.reports.writing import MAP_SECONDS, check_installed, write_report

    check_installed()
    import_tensorflow()
    path = write_report(run, data, map_seconds=MAP_SECONDS)
    click.echo(str(path))
    if show and not webbrowser.open(path.resolve().as_uri()):
        click.echo("No browser was found; open the file yourself.", err=True)
