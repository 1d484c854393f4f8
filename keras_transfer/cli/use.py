"""``kt-recipe evaluate`` and ``predict``: use a finished run, or an export of it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.exports import Export
from keras_transfer.quiet import import_tensorflow
from keras_transfer.runs import Prediction, Run
from keras_transfer.tables import Table

__all__ = ["evaluate", "predict"]

TTA = click.option(
    "--tta",
    metavar="flip|N",
    help="Test-time augmentation: average over the image and its mirror image, or over N views "
    "by the run's own augmentation.",
)
RUN = click.argument("run", type=click.Path(path_type=Path), metavar="RUN_OR_EXPORT")


def _opened(folder: Path) -> Run | Export:
    """A run folder holds run.json; an export does not."""
    return Run(folder) if (folder / "run.json").exists() else Export(folder)


@click.command()
@RUN
@click.option("--data", help="Other data to evaluate on; the metrics of the run itself if none.")
@TTA
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where TFDS data sets lie.")
@click.option("--on-bad", type=click.Choice(["fail", "skip"]), default="fail", show_default=True)
@click.option("--strict", is_flag=True, help="Fail if the run was trained on these images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def evaluate(
    run: Path,
    data: str | None,
    tta: str | None,
    data_dir: Path | None,
    on_bad: str,
    strict: bool,
    as_json: bool,
) -> None:
    """Print the metrics of a finished run or an export, on its test split or on other data."""
    import_tensorflow()
    from keras_transfer.evaluation.metrics import summary

    done = _opened(run)
    if data is None and tta is None:
        metrics = done.metrics["test"]
    else:
        metrics = done.evaluate(data, data_dir=data_dir, on_bad=on_bad, strict=strict, tta=tta)
    if as_json:
        document = {"recipe": done.metadata["recipe"], "run": str(run), "data": data}
        click.echo(json.dumps({**document, "metrics": {"test": metrics}}, ensure_ascii=False))
    else:
        click.echo(summary(metrics))
        if tta is not None:
            plain = metrics["plain"]
            click.echo(
                f"\nWithout --tta: accuracy {plain['accuracy']:.3f}, macro F1 "
                f"{plain['macro_f1']:.3f}, log loss {plain['log_loss']:.3f}"
            )


def _table(predictions: list[Prediction], k: int) -> None:
    width = max(len(one.path) for one in predictions)
    for one in predictions:
        said = "  ".join(f"{label} {share:.4f}" for label, share in one.top(k))
        click.echo(f"{one.path:<{width}}  {said or 'error: ' + one.error}")


def _csv(predictions: list[Prediction], k: int) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    tops = [column for i in range(1, k + 1) for column in (f"class_{i}", f"probability_{i}")]
    writer.writerow(["path", "error", *tops])
    for one in predictions:
        cells = [cell for pair in one.top(k) for cell in pair]
        writer.writerow([one.path, one.error, *cells, *[""] * (2 * k - len(cells))])


def _jsonl(predictions: list[Prediction], k: int) -> None:
    for one in predictions:
        top = [{"class": label, "probability": share} for label, share in one.top(k)]
        row = (
            {"path": one.path, "error": one.error} if one.error else {"path": one.path, "top": top}
        )
        click.echo(json.dumps(row, ensure_ascii=False))


FORMATS: Table[Callable[[list[Prediction], int], None]] = Table(
    "format", {"table": _table, "csv": _csv, "jsonl": _jsonl}
)


@click.command()
@RUN
@click.argument("paths", nargs=-1, required=True)
@TTA
@click.option("--top-k", default=1, show_default=True, help="Classes to print, best first.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="table")
def predict(run: Path, paths: tuple[str, ...], tta: str | None, top_k: int, form: str) -> None:
    """Classify PATHS: image files, folders and glob patterns. One row a file, in their order.

    A file that cannot be used has a row with the reason, and the exit code is 3.
    """
    if top_k < 1:
        raise BadConfiguration(f"--top-k {top_k}: should be 1 or more.")
    import_tensorflow()
    done = _opened(run)
    predictions = done.predict(paths, tta=tta)
    FORMATS[form](predictions, min(top_k, len(done.classes)))
    bad = [f"{one.path}: {one.error}" for one in predictions if one.error]
    if bad and form == "table":  # which people read: it says why
        raise BadData(f"{len(bad)} of {len(predictions)} files cannot be used; see above.")
    if bad:
        raise BadData(f"{len(bad)} of {len(predictions)} files cannot be used:", bad)
