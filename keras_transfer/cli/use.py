"""``kt-recipe evaluate`` and ``predict``: use a finished run, or an export of it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from keras_transfer.cli.drift import drift_lines, drift_of, has_no_labels
from keras_transfer.cli.entities import ENTITY_FORMATS
from keras_transfer.cli.opened import RUN, TRUST, TTA, given_examples, opened
from keras_transfer.csv_cells import write_cells
from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.exports import Export
from keras_transfer.quiet import import_tensorflow
from keras_transfer.reports.writing import check_page
from keras_transfer.runs import Prediction, Run
from keras_transfer.runs.likely_words import likely_words
from keras_transfer.tables import Table

__all__ = ["evaluate", "predict"]

logger = logging.getLogger("keras_transfer")


@click.command()
@RUN
@click.option(
    "--data",
    help="Other data to evaluate on, with labels or without; the run's own metrics if none.",
)
@click.option("--drift", is_flag=True, help="Say too whether the data are like those of the run.")
@TTA
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where TFDS data sets lie.")
@click.option("--on-bad", type=click.Choice(["fail", "skip"]), default="fail", show_default=True)
@click.option("--strict", is_flag=True, help="Fail if the run was trained on these images.")
@TRUST
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def evaluate(
    run: Path,
    data: str | None,
    drift: bool,
    tta: str | None,
    trust: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Print the metrics of a finished run or an export, on its test split or on other data.

    Of data without labels, such as a folder of images, it says whether they are like those of the
    run, what accuracy is to be expected, and whether to trust the model there.
    """
    # Before models load it themselves, with messages on stderr.
    import_tensorflow()
    done = opened(run, trust)
    labelled = not has_no_labels(done, data)
    found = None
    if drift or not labelled:
        found = drift_of(done, data, labelled=labelled, tta=tta)
    if not labelled:
        metrics = None
    elif data is None and tta is None:
        # Stored metrics need no images, which may be on another machine.
        metrics = done.metrics["test"]
    else:
        metrics = done.evaluate(data, tta=tta, **how)
    if as_json:
        document = {"recipe": done.metadata["recipe"], "run": str(run), "data": data}
        document |= {} if metrics is None else {"metrics": {"test": metrics}}
        document |= {} if found is None else {"drift": found}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    if metrics is not None:
        _print_metrics(done, metrics, tta)
    if found is not None:
        click.echo("\n".join(drift_lines(found)))


def _print_metrics(done: Run | Export, metrics: dict[str, Any], tta: str | None) -> None:
    several = [*done.outputs] != [LABEL]
    for name, output in done.outputs.items():
        shown = metrics[name] if several else metrics
        click.echo(f"Output {name}\n" * several + output.objective.summary(shown))
        if tta is not None:
            click.echo(f"\nWithout --tta: {_plain(shown['plain'])}")


WORDS = {"macro_f1": "macro F1", "micro_f1": "micro F1", "r2": "R2"}


def _plain(metrics: dict[str, float]) -> str:
    return ", ".join(
        f"{WORDS.get(name, name.replace('_', ' '))} {value:.3f}" for name, value in metrics.items()
    )


def _table(predictions: list[Prediction], k: int) -> None:
    width = max(len(one.path) for one in predictions)
    for one in predictions:
        said = "  ".join(_said(one, name, k) for name in one.outputs) if not one.error else ""
        click.echo(f"{one.path:<{width}}  {said or 'error: ' + one.error}")


def _said(prediction: Prediction, output: str, k: int) -> str:
    """The best k classes of an output; of labels those that are decided for; all values."""
    before = "" if output == LABEL else f"{output}: "
    answer = prediction.answers()[output]
    top = prediction.top(k if not isinstance(answer, tuple) else len(answer), output)
    return before + ("  ".join(f"{name} {score:.4f}" for name, score in top) or "(no label)")


def _csv(predictions: list[Prediction], k: int) -> None:
    rows = _answer_rows(predictions) if _answered(predictions) else _class_rows(predictions, k)
    # csv ends lines by \r\n unless told otherwise, which other tools show as ^M.
    write_cells(sys.stdout, rows, lineterminator="\n")


def _class_rows(predictions: list[Prediction], k: int) -> Iterator[list[Any]]:
    tops = [column for i in range(1, k + 1) for column in (f"class_{i}", f"probability_{i}")]
    yield ["path", "error", *tops]
    for one in predictions:
        cells = [cell for pair in one.top(k) for cell in pair]
        yield [one.path, one.error, *cells, *[""] * (2 * k - len(cells))]


def _answered(predictions: list[Prediction]) -> bool:
    """Whether the answers are more than the classes of one output."""
    outputs = predictions[0].outputs
    return [*outputs] != [LABEL] or outputs[LABEL].objective.activation != "softmax"


def _answer_rows(predictions: list[Prediction]) -> Iterator[list[Any]]:
    """A column for each answer and each score."""
    outputs = predictions[0].outputs
    scores = [f"{name}:{unit}" for name, output in outputs.items() for unit in output.names]
    yield ["path", "error", *outputs, *scores]
    for one in predictions:
        if one.scores is None:
            yield [one.path, one.error, *[""] * (len(outputs) + len(scores))]
            continue
        answers = [_text(answer) for answer in one.answers().values()]
        values = [score for name in outputs for score in one.scores[name].tolist()]
        yield [one.path, one.error, *answers, *values]


def _text(answer: Any) -> str:
    if isinstance(answer, tuple):
        return "|".join(answer)
    return json.dumps(answer, ensure_ascii=False) if isinstance(answer, dict) else str(answer)


def _jsonl(predictions: list[Prediction], k: int) -> None:
    several = bool(predictions) and _answered(predictions)
    for one in predictions:
        row: dict[str, Any] = {"path": one.path}
        if one.scores is None:
            row["error"] = one.error
        elif several:
            row["answers"] = one.answers()
            row["scores"] = {
                name: dict(zip(output.names, one.scores[name].tolist(), strict=True))
                for name, output in one.outputs.items()
            }
        else:
            row["top"] = [{"class": label, "probability": share} for label, share in one.top(k)]
        click.echo(json.dumps(row, ensure_ascii=False))


FORMATS: Table[Callable[[list[Prediction], int], None]] = Table(
    "format", {"table": _table, "csv": _csv, "jsonl": _jsonl}
)


def _conformal(done: Run | Export, coverage: float, method: str) -> Any:
    from keras_transfer.runs.conformal import Conformal  # it needs what reads predictions

    return Conformal(done, coverage, method)


def _set_table(predictions: list[Prediction], conformal: Any) -> None:
    width = max(len(one.path) for one in predictions)
    for one in predictions:
        said = [
            ("" if name == LABEL else f"{name}: ") + conformal.said(one, name)
            for name in (() if one.error else one.outputs)
        ]
        click.echo(f"{one.path:<{width}}  {'  '.join(said) or 'error: ' + one.error}")


def _set_csv(predictions: list[Prediction], conformal: Any) -> None:
    outputs = predictions[0].outputs
    rows: list[list[Any]] = [["path", "error", *outputs]]
    for one in predictions:
        answers = {} if one.error else conformal.answers(one)
        cells = [_text(tuple(x) if isinstance(x, list) else x) for x in answers.values()]
        rows.append([one.path, one.error, *(cells or [""] * len(outputs))])
    write_cells(sys.stdout, rows, lineterminator="\n")


def _set_jsonl(predictions: list[Prediction], conformal: Any) -> None:
    for one in predictions:
        row: dict[str, Any] = {"path": one.path}
        if one.error:
            row["error"] = one.error
        else:
            row |= {"coverage": conformal.coverage, "sets": conformal.answers(one)}
        click.echo(json.dumps(row, ensure_ascii=False))


SET_FORMATS: Table[Callable[[list[Prediction], Any], None]] = Table(
    "format", {"table": _set_table, "csv": _set_csv, "jsonl": _set_jsonl}
)


def _words(done: Run, texts: Sequence[str], k: int, excluded: Mapping[str, Any], form: str) -> None:
    """The likeliest words in the place of each [MASK]: a line, or JSON, for each mask."""
    for option, value in excluded.items():
        if value is not None:
            raise BadConfiguration(f"{option} is not for masked words. Leave it out.")
    if form == "csv":
        raise BadConfiguration("--format csv is not for masked words. Use table or jsonl.")
    found = likely_words(done, texts, k)
    for text, masks in zip(texts, found, strict=True):
        for number, words in enumerate(masks, start=1):
            if form == "jsonl":
                top = [{"word": word, "probability": share} for word, share in words]
                click.echo(
                    json.dumps({"text": text, "mask": number, "top": top}, ensure_ascii=False)
                )
                continue
            which = f" (mask {number})" if len(masks) > 1 else ""
            click.echo(f"{text}{which}  " + "  ".join(f"{word} {p:.4f}" for word, p in words))


def _write_page(
    page: Path, done: Run | Export, given: Sequence[Any], predictions: list[Prediction], sets: Any
) -> None:
    from keras_transfer.reports.predictions import write_predictions

    def said(one: Prediction) -> str:
        answers = "; ".join(sets.said(one, name) for name in one.outputs)
        return f"{100 * sets.coverage:g} % set: {answers}"

    path = write_predictions(page, done, given, predictions, None if sets is None else said)
    logger.info("Report: %s", path)


@click.command()
@RUN
@click.argument("paths", nargs=-1, required=True)
@TTA
@click.option(
    "--top-k",
    default=1,
    show_default=True,
    help="Classes to print, best first; of labels and values all answers.",
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="table")
@click.option(
    "--coverage",
    type=float,
    help="Answer sets of classes, or intervals of values, that hold the truth with this "
    "probability, e.g. 0.95; of a run.",
)
@click.option(
    "--sets",
    type=click.Choice(["lac", "aps"]),
    default="lac",
    show_default=True,
    help="How sets are made: lac: the smallest; aps: larger where the model is unsure.",
)
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Also write a page: thumbnails or texts with their answers, least sure first.",
)
@TRUST
def predict(
    run: Path,
    paths: tuple[str, ...],
    form: str,
    page: Path | None,
    trust: bool,
    **wanted: Any,
) -> None:
    """Predict for PATHS: image files, folders and glob patterns. One row a file, in their order.

    A run of the recipe mlm takes texts with [MASK], and gives the likeliest words there.
    A model for texts takes the texts themselves, and tables with a column of them; a
    model for pairs of texts such files with both columns.
    A file that cannot be used has a row with the reason, and the exit code is 3.
    """
    tta, top_k, coverage = (wanted[name] for name in ("tta", "top_k", "coverage"))
    if top_k < 1:
        raise BadConfiguration(f"--top-k {top_k}: should be 1 or more.")
    if page is not None:
        check_page(page)
    import_tensorflow()
    done = opened(run, trust)
    if isinstance(done, Run) and done.pretrained:
        _words(done, paths, top_k, {"--tta": tta, "--coverage": coverage, "--report": page}, form)
        return
    conformal = None if coverage is None else _conformal(done, coverage, wanted["sets"])
    given = given_examples(done, paths)
    predictions = done.predict(given, tta=tta)
    units = max(len(output.names) for output in done.outputs.values())
    # Printed before the exit code says that files are bad: the others have their answers.
    if any(output.objective.per_token for output in done.outputs.values()):
        ENTITY_FORMATS[form](predictions)
    elif conformal is None:
        FORMATS[form](predictions, min(top_k, units))
    else:
        SET_FORMATS[form](predictions, conformal)
    if page is not None:
        _write_page(page, done, given, predictions, conformal)
    bad = [f"{one.path}: {one.error}" for one in predictions if one.error]
    if bad and form == "table":  # which people read: it says why
        raise BadData(f"{len(bad)} of {len(predictions)} files cannot be used; see above.")
    if bad:
        raise BadData(f"{len(bad)} of {len(predictions)} files cannot be used:", bad)
