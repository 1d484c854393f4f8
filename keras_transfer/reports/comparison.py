"""The page of a comparison of runs on the same test examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.samples import LABEL
from keras_transfer.evaluation.layout import is_better, metric_text, title
from keras_transfer.evaluation.paired import Aligned
from keras_transfer.evaluation.study_plots import Point, plot_intervals
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command, command, recipe_name
from keras_transfer.reports.comparison_facts import settings_section, time_section
from keras_transfer.reports.disagreements import Disagreement, disagreement
from keras_transfer.reports.gallery import Gallery
from keras_transfer.reports.study import Section, StudyPage, Tile
from keras_transfer.reports.wording import Table, short, table
from keras_transfer.runs.run import Run

__all__ = ["Compared", "comparison_page"]

SIGNIFICANT = 0.05
"""p of McNemar's test from which on it does not confirm a difference of accuracies."""


class Compared(NamedTuple):
    """What is known of the runs.

    Attributes:
        folders: Of the runs or series, as they were named.
        models: For each the runs.
        document: As ``compare_runs`` gives it.
        aligned: Predictions by output.
    """

    folders: Sequence[str]
    models: Sequence[Sequence[Run]]
    document: Mapping[str, Any]
    aligned: Mapping[str, Aligned]

    @property
    def names(self) -> list[str]:
        """A, B, ...; numbers where there are more than letters."""
        n = len(self.folders)
        return [*ascii_uppercase[:n]] if n <= 26 else [f"run {place + 1}" for place in range(n)]

    @property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """What was found of each output."""
        return dict(self.document.get("outputs", {LABEL: self.document}))

    def metrics(self, output: str) -> list[str]:
        """The main metrics that were compared; of entities not all are."""
        objective = self.models[0][0].outputs[output].objective
        compared = self.outputs[output]["others"][0]
        return [name for name in objective.headline if name in compared]

    def disagreements(self, output: str) -> list[Disagreement]:
        """Of each other model and the first."""
        objective, names = self.models[0][0].outputs[output].objective, self.names
        found = (
            disagreement(self.aligned[output], objective, (0, place), (names[0], names[place]))
            for place in range(1, len(names))
        )
        return [one for one in found if one is not None]


def comparison_page(found: Compared, gallery: Gallery, most: int) -> StudyPage:
    """What the page says.

    Args:
        found: The comparison.
        gallery: Has loaded the examples of the disagreements.
        most: Most examples of each sort.
    """
    first, output = next(iter(found.outputs.items()))
    metric = found.metrics(first)[0]
    values = _values(output, metric)
    several = len(found.outputs) > 1
    sections = []
    for number, (name, one) in enumerate(found.outputs.items()):
        of = f" of {short(name)}" if several else ""
        sections += [*_output(found, name, one, f"o{number}", of, gallery, most)]
    sections += [
        settings_section(found.names, found.models),
        time_section(found.names, found.models),
    ]
    best = _best(values, metric)
    sentences, fine = _verdict(found, output, metric, best)
    tiles = [
        Tile(metric_text(metric, value), f"{title(metric)} of {name}", _bounds(metric, interval))
        for name, (value, interval) in zip(found.names, values, strict=True)
    ][:8]
    return StudyPage(
        "Comparison of runs",
        "; ".join(
            f"{name}: {short(folder, 50)}"
            for name, folder in zip(found.names, found.folders, strict=True)
        ),
        "",
        sentences,
        fine,
        _commands(found, best),
        tiles,
        sections,
    )


def _values(output: Mapping[str, Any], metric: str) -> list[tuple[float | None, Any]]:
    """Value and interval of each model, the first one first."""
    reference = output["others"][0][metric]
    rows = [(reference["first"], reference["first_interval"])]
    return rows + [
        (one[metric]["second"], one[metric]["second_interval"]) for one in output["others"]
    ]


def _best(values: Sequence[tuple[float | None, Any]], metric: str) -> int:
    sign = 1 if is_better(metric) == "higher" else -1
    known = [(-np.inf if value is None else sign * value) for value, _ in values]
    return int(np.argmax(known))


def _verdict(
    found: Compared, output: Mapping[str, Any], metric: str, best: int
) -> tuple[list[str], bool]:
    """Which is better, who is right where, and what to be careful about."""
    names, others = found.names, output["others"]
    following = _following(output, metric, best)
    place = best or following  # pairs are known with the first alone
    other = others[place - 1]
    row, tests = other[metric], other.get("mcnemar")
    paired = [best] if best else range(1, len(names))
    close = [one for one in paired if _is_open(found, others[one - 1], metric)]
    end = f"so {names[best]} is better"
    if place in close:
        end = "which McNemar's test does not confirm"
        end = "which is within noise" if _is_noise(row) else end
    said = f"{title(metric)[0].upper()}{title(metric)[1:]}"
    of = f"{output['examples']:,} test examples"
    more = ""
    if len(names) > 2:
        more = _of_several(names, best, following, [0] if best and close else close)
    first = (
        f"{said} of {names[place]} is {metric_text(metric, row['second'])}, of {names[0]} "
        f"{metric_text(metric, row['first'])} on the same {of}: a difference of "
        f"{metric_text(metric, row['difference'], sign='+')} (95 % interval "
        f"{_bounds(metric, row['interval'], '+')}), {end}.{more}"
    )
    sentences = [first]
    if tests:
        right = "has all labels right" if output["objective"] == "multilabel" else "is right"
        which = "Of the first pair of runs, " if _is_series(found) else ""
        sentences.append(
            f"{which}{names[place]} alone {right} on {tests[0]['only_second']:,} examples, "
            f"{names[0]} alone on {tests[0]['only_first']:,} (McNemar's test, p = "
            f"{tests[0]['p']:.3g})."
        )
    seeds = all(len(runs) > 1 for runs in found.models)
    if close:
        sentences.append(
            "This test split cannot tell them apart: choose by speed or size, or add test examples."
        )
    elif not seeds:
        sentences.append(
            "The interval is over test examples: with other seeds the difference may be another "
            "one, which series over --seeds show."
        )
    else:
        sentences.append("The interval is over test examples and seeds.")
    return sentences, seeds and not close and 0 in (best, following)


def _following(output: Mapping[str, Any], metric: str, best: int) -> int:
    """Which has the best value of the others."""
    values = _values(output, metric)
    values[best] = (None, None)
    return _best(values, metric)


def _of_several(names: Sequence[str], best: int, following: int, close: Sequence[int]) -> str:
    said = f" Of {len(names)} models {names[best]} has the best value"
    if best and following:
        said += (
            f", then {names[following]}; each is paired with {names[0]} alone, so name "
            f"{names[best]} first to compare these two"
        )
    worse = ", ".join(names[place] for place in close)
    return f"{said}." + (f" Not clearly worse than {names[best]}: {worse}." if close else "")


def _is_series(found: Compared) -> bool:
    return any(len(runs) > 1 for runs in found.models)


def _is_open(found: Compared, other: Mapping[str, Any], metric: str) -> bool:
    """Whether the difference is noise, or McNemar's test does not confirm it."""
    if _is_noise(other[metric]):
        return True
    # Of series the runs are paired one by one.
    tests = [] if _is_series(found) or metric != "accuracy" else other.get("mcnemar", [])
    return any(test["p"] >= SIGNIFICANT for test in tests[:1])


def _is_noise(row: Mapping[str, Any]) -> bool:
    return row["interval"] is None or row["interval"][0] <= 0 <= row["interval"][1]


def _bounds(metric: str, interval: Sequence[float] | None, sign: str = "") -> str:
    if interval is None:
        return "-"
    return " to ".join(metric_text(metric, bound, sign=sign) for bound in interval)


def _commands(found: Compared, best: int) -> list[Command]:
    folder, runs = found.folders[best], found.models[best]
    run = runs[0]
    made = []
    if len(runs) == 1:
        recipe = recipe_name(run.metadata)
        words = ("run", recipe, "-c", run.folder / "recipe.yaml", "--seeds", 5)
        made = [
            Command("Look at where the best one fails", command("report", folder)),
            Command("See what other seeds change", command(*words)),
        ]
    to_export = run.folder
    return [*made, Command("Export it for production", command("export", to_export))]


def _output(
    found: Compared,
    name: str,
    output: Mapping[str, Any],
    anchor: str,
    of: str,
    gallery: Gallery,
    most: int,
) -> Iterator[Section]:
    metrics = found.metrics(name)
    note = f"On the {output['examples']:,} test examples that all have."
    if output["distinct"] < output["examples"]:
        note += f" {output['distinct']:,} of them are distinct; intervals and tests count those."
    if output["left_out"]:
        note += f" {output['left_out']:,} more are not in all runs and are ignored."
    tables = [("95 % intervals in brackets, by the bootstrap", _metrics(found, output, metrics))]
    per_target = _per_target(found, output)
    tables += [("Differences by target", per_target)] if per_target.rows else []
    yield Section(anchor, f"Metrics{of}", note, [_difference_plot(found, output, metrics)], tables)
    both = found.disagreements(name)
    if not both:
        return
    groups = [group for one in both for group in one.groups(gallery, most)] if most else []
    more: list[tuple[str, Table]] = []
    for one in both:
        a, b = one.names
        more.append((f"{a} and {b}, numbers of examples", one.counts()))
        if (by_class := one.by_class()) is not None:
            more.append((f"{a} and {b} by true class, the largest difference first", by_class))
    series = " Of a series its first run is shown." if len(found.models[0]) > 1 else ""
    note = f"Examples that one has right and the other does not, and those of both wrong.{series}"
    yield Section(f"{anchor}-who", f"Who is wrong where{of}", note, [], more, groups)


def _metrics(found: Compared, output: Mapping[str, Any], metrics: Sequence[str]) -> Table:
    """A row for each metric, a column for each model."""
    rows = []
    for metric in metrics:
        cells = [
            f"{metric_text(metric, value)} ({_bounds(metric, interval)})"
            for value, interval in _values(output, metric)
        ]
        rows.append([f"{title(metric)} ({is_better(metric)} is better)", *cells])
    return table(["metric", *found.names], rows)


def _difference_plot(found: Compared, output: Mapping[str, Any], metrics: Sequence[str]) -> Plot:
    """Differences from the first model: of the main metric as points, of all as a table."""
    main, rows, points = metrics[0], [], []
    for place, other in enumerate(output["others"], start=1):
        points.append(Point(other[main]["difference"], other[main]["interval"], place - 1))
        rows += [
            _difference(
                f"{place}. {found.names[place]} less {found.names[0]}", metric, other[metric]
            )
            for metric in metrics
        ]
    header = ["models", "metric", "difference", "95 % interval", ""]
    svg = plot_intervals(points, label=f"difference of the {title(main)}", reference=0)
    text = (
        "Paired over the same examples, so what makes an example hard cancels out. An interval "
        "across the dashed line is within noise."
    )
    heading = f"Difference from {found.names[0]}: {title(main)}"
    return Plot(heading, svg, text, table(header, rows))


def _difference(models: str, metric: str, row: Mapping[str, Any]) -> list[str]:
    better = (row["difference"] or 0) > 0
    if is_better(metric) == "lower":
        better = not better
    judged = "within noise" if _is_noise(row) else "better" if better else "worse"
    values = (
        metric_text(metric, row["difference"], sign="+"),
        _bounds(metric, row["interval"], "+"),
    )
    return [models, title(metric), *values, judged]


def _per_target(found: Compared, output: Mapping[str, Any]) -> Table:
    rows = []
    for place, other in enumerate(output["others"], start=1):
        for target, metrics in other.get("per_target", {}).items():
            models = f"{found.names[place]} less {found.names[0]}"
            rows += [
                [short(target), *_difference(models, metric, row)]
                for metric, row in metrics.items()
                if isinstance(row, dict) and "difference" in row
            ]
    return table(["target", "models", "metric", "difference", "95 % interval", ""], rows)
