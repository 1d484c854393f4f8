"""What a finished run is in a notebook: a table of its metrics, and its predictions as a frame."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.evaluation.layout import metric_text, title
from keras_transfer.evaluation.prediction_files import FILES, PREDICTED, TRUE, prediction_file
from keras_transfer.evaluation.predictions import PREFIX, read_rows
from keras_transfer.runs.predictor import Predictor

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["InNotebook"]

NUMBERS = (PREFIX, TRUE, PREDICTED)
"""How the names of columns begin that hold numbers."""

LINKS = {"report.html": "report", "README.md": "model card", "metrics.json": "all metrics"}
"""Files of a run that its table links to."""


class InNotebook(Predictor):
    """The part of a run that a notebook shows."""

    def predictions(self, split: str = "test", output: str | None = None) -> DataFrame:
        """The predictions that the run wrote; pandas must be installed.

        Args:
            split: "test" or "val".
            output: Name of the output; the first one if None.

        Returns:
            A row for each example, with the columns of ``predictions.csv``: path, true and
            predicted names as text, and float64 ``p:NAME`` (probabilities), or ``true:NAME`` and
            ``predicted:NAME`` of a regression, NaN where not known.

        Raises:
            BadConfiguration: pandas is not installed.
            UnknownName: There is no such split or output.
            BadData: The file is damaged.
        """
        return _predictions(self, split, output)

    def _repr_html_(self) -> str:
        """Test metrics with intervals, the baseline, and links to the report."""
        return _as_html(self)


def _predictions(run: Any, split: str, output: str | None) -> DataFrame:
    try:
        from pandas import DataFrame
    except ImportError:
        raise BadConfiguration(
            "Predictions as a data frame need pandas: pip install pandas. Without it, "
            f"{run.folder / prediction_file('test', LABEL)} holds them."
        ) from None
    if split not in FILES:
        raise UnknownName("split with predictions", split, FILES)
    names = [LABEL] if run.pretrained else [*run.outputs]
    name = names[0] if output is None else output
    if name not in names:
        raise UnknownName("output", name, names)
    header, rows = read_rows(run.folder / prediction_file(split, name))
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return DataFrame(
        {column: _cells(column, cells) for column, cells in zip(header, columns, strict=True)}
    )


def _cells(column: str, cells: Sequence[str]) -> list[Any]:
    # Classes may be called "1" or "nan": their names stay text.
    if not column.startswith(NUMBERS):
        return [*cells]
    return [float(cell) if cell else float("nan") for cell in cells]


def _as_html(run: Any) -> str:
    head = f"<p><b>{escape(str(run.metadata['recipe']))}</b> in {escape(str(run.folder))}</p>"
    if run.pretrained:
        return f"{head}<pre>{escape(run.report())}</pre>{_links(run.folder)}"
    parts = [head]
    for name in run.outputs:
        if name != LABEL:
            parts.append(f"<p><b>{escape(name)}</b></p>")
        metrics, baseline = run.test_metrics(name), run.simple_baseline(name)
        baseline_name = run.outputs[name].objective.baseline_name
        parts.append(f"<p>{escape(_verdict(run, name, metrics, baseline))}</p>")
        parts.append(_table(metrics, baseline, baseline_name))
    return "".join([*parts, _links(run.folder)])


def _verdict(run: Any, name: str, metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """What the model reaches, with its interval, against the baseline."""
    objective = run.outputs[name].objective
    metric = objective.headline[0]
    interval = _interval(metric, metrics)
    within = f" (95 % interval {interval})" if interval else ""
    said = f"{title(metric)} {metric_text(metric, metrics[metric])}{within}"
    if "n" in metrics:
        said += f" on {metrics['n']:,} test examples"
    against = baseline.get(metric)
    if against is not None:
        said += f"; the baseline {objective.baseline_name} reaches {metric_text(metric, against)}"
    return f"{said[0].upper()}{said[1:]}."


def _interval(metric: str, metrics: Mapping[str, Any]) -> str:
    bounds = metrics.get(f"{metric}_interval")
    if not bounds or None in bounds:
        return ""
    return " to ".join(metric_text(metric, bound) for bound in bounds)


def _table(metrics: Mapping[str, Any], baseline: Mapping[str, Any], name: str) -> str:
    rows = [["", "test", "95 % interval", f"baseline ({name})"]]
    for metric in _shown(metrics):
        known = baseline.get(metric)
        rows.append(
            [
                title(metric),
                metric_text(metric, metrics[metric]),
                _interval(metric, metrics),
                metric_text(metric, known) if isinstance(known, float) else "",
            ]
        )
    header, *body = (
        "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(["th", *["td"] * (len(rows) - 1)], rows, strict=True)
    )
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table>"


def _shown(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Metrics that are one number, and no count."""
    return (name for name, value in metrics.items() if isinstance(value, float))


def _links(folder: Path) -> str:
    """To the files that are there, from the working directory, as a notebook's server has it."""
    there = {name: text for name, text in LINKS.items() if (folder / name).exists()}
    home = quote(os.path.relpath(folder).replace(os.sep, "/"))
    links = (f'<a href="{home}/{name}">{text}</a>' for name, text in there.items())
    return f"<p>{' · '.join(links)}</p>" if there else ""
