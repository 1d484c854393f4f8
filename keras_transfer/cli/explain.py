"""``kt-recipe explain``: which pixels or words the answers of a finished run come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from keras_transfer.cli.opened import given_examples
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.inputs.table import read_input
from keras_transfer.quiet import import_tensorflow
from keras_transfer.runs import Run

__all__ = ["explain"]

METHODS = ("grad_cam", "grad_cam++", "integrated_gradients", "occlusion")


@click.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--method",
    metavar="|".join(METHODS),
    help="How maps are made: grad_cam and grad_cam++ are fast and coarse; integrated_gradients "
    "scores single pixels; occlusion works for every network  [grad_cam; of texts occlusion]",
)
@click.option("--class", "unit", help="Class, label or target to explain  [the most probable]")
@click.option("--output", help="Output of the network, where it has several  [the first]")
@click.option(
    "--to", type=click.Path(path_type=Path), help="New folder  [RUN/explanations/<number>]"
)
@click.option(
    "--sanity/--no-sanity",
    default=True,
    show_default=True,
    help="Whether to compare the maps of the first 8 examples with those of random weights.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def explain(
    run: Path,
    paths: tuple[str, ...],
    method: str | None,
    unit: str | None,
    output: str | None,
    to: Path | None,
    sanity: bool,
    as_json: bool,
) -> None:
    """Show where a finished run looks in PATHS: image files, folders and glob patterns.

    The folder gets an overlay (PNG) and arrays (.npz) for each image, index.csv and index.html. The
    deletion score says whether the probability falls as the hottest squares are removed.
    A model for texts takes what predict takes, and the folder gets a score for each word.
    """
    import_tensorflow()
    _check_run(run)
    summary, found, folder = _explained(
        Run(run), list(paths), to, method=method, unit=unit, output=output, sanity=sanity
    )
    if as_json:
        click.echo(json.dumps(_document(folder, summary, found), ensure_ascii=False))
    else:
        width = max(len(one.path) for one in found)
        for one in found:
            click.echo(f"{one.path:<{width}}  {_said(one)}")
        for sentence in summary.sentences:
            click.echo(sentence)
        click.echo(str(folder))
    if bad := [f"{one.path}: {one.error}" for one in found if one.error]:
        raise BadData(f"{len(bad)} of {len(found)} files cannot be used:", bad)


def _explained(
    run: Run, paths: list[str], to: Path | None, method: str | None, **asked: Any
) -> tuple[Any, list[Any], Path]:
    """The summary, the explanations, and the new folder that holds them."""
    from keras_transfer.reports.explanations import new_folder, write_images
    from keras_transfer.reports.word_scores import write_texts

    given = given_examples(run, paths)
    write: Any
    if read_input(run.settings["input"]).text_columns:
        from keras_transfer.explanations.texts import TextExplainer

        write, method = write_texts, method or "occlusion"
        explainer: Any = TextExplainer(run, method, **asked)
    else:
        from keras_transfer.explanations.images import ImageExplainer

        write, method = write_images, method or "grad_cam"
        explainer = ImageExplainer(run, method, **asked)
    found = explainer.explain(given)
    folder = new_folder(run.folder, to)
    return *write(folder, explainer, found, method), folder


def _check_run(folder: Path) -> None:
    if (folder / "export.json").exists() or (folder / "saved_model.pb").exists():
        raise BadConfiguration(
            f"{folder} is an export, and explain takes the folder of a run. The signature "
            "`explain` of a SavedModel gives Grad-CAM."
        )


def _document(folder: Path, summary: Any, found: list[Any]) -> dict[str, Any]:
    from keras_transfer.reports.explanations import document_of

    return {
        "folder": str(folder),
        **document_of(summary),
        "explanations": [_row(one) for one in found],
    }


def _row(one: Any) -> dict[str, Any]:
    if one.error:
        return {"path": one.path, "error": one.error}
    row = {name: getattr(one, name) for name in ("path", "predicted", "explained", "score")}
    if hasattr(one, "words"):
        row["words"] = [word._asdict() for word in one.words]
    return {**row, "deletion": None if one.deletion is None else one.deletion._asdict()}


def _said(one: Any) -> str:
    if one.error:
        return f"error: {one.error}"
    asked = "" if one.explained == one.predicted else f"  {one.explained}"
    areas = "" if one.deletion is None else "  deletion {:.3f}, random {:.3f}".format(*one.deletion)
    words = sorted(getattr(one, "words", ()), key=lambda word: -abs(word.score))[:5]
    shown = "".join(f"  {word.text} {word.score:+.2f}" for word in words)
    return f"{one.predicted}{asked} {one.score:.4f}{areas}{shown}"
