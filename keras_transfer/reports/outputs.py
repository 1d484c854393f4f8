"""The sections of each output of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL
from keras_transfer.evaluation.layout import metric_text, title
from keras_transfer.evaluation.mistakes import confident_mistakes, least_sure
from keras_transfer.evaluation.prediction_files import prediction_file
from keras_transfer.objectives.classification import Classification
from keras_transfer.reports.calibration import calibration_of
from keras_transfer.reports.classification import Classes, Plot, classes, confusion, plots
from keras_transfer.reports.entities import entity_mistakes
from keras_transfer.reports.gallery import Card, Gallery
from keras_transfer.reports.heat_maps import HeatMaps
from keras_transfer.reports.study import Group
from keras_transfer.reports.thresholds import Thresholds, thresholds_of
from keras_transfer.reports.wording import Table, metrics_table, percent, quoted, short, unit_table
from keras_transfer.runs.run import Run

__all__ = [
    "Cell",
    "Limits",
    "OutputSection",
    "keys_of",
    "looked_at",
    "read_classes",
    "section",
    "unit_verdict",
]

SHOWN = 24
"""Most confident mistakes, and least sure examples."""
MATRIX = 25
"""Most classes of a confusion matrix; of more only the confused pairs are shown."""
UNITS = {"per_label": "label", "per_target": "target", "per_type": "type"}


class Limits(NamedTuple):
    """How many images a page shows; fewer where it would be too large.

    Attributes:
        wrong: For each cell of the confusion matrix off the diagonal.
        right: For each cell on it.
        sheet: Longer side of the sheet of augmented examples in pixels; 0: it is left out.
    """

    wrong: int
    right: int
    sheet: int


class Cell(NamedTuple):
    """A cell of the confusion matrix.

    Attributes:
        id: Of its anchor; empty without a gallery.
        examples: Number of examples.
        share: Of the examples of the true class.
        right: Whether it lies on the diagonal.
        title: What the examples have in common.
        cards: Some of the examples.
    """

    id: str
    examples: int
    share: float
    right: bool
    title: str
    cards: list[Card]


class OutputSection(NamedTuple):
    """What a page says of one output.

    Attributes:
        id: Of its anchor.
        name: Of the output; empty if it is the only one.
        metrics: Test metrics beside val and baselines.
        units: Metrics by label or target; None for a classification.
        classes: Metrics by class; None for other objectives.
        names: Names of the classes, short.
        matrix: Rows of the confusion matrix; empty for many classes.
        pairs: Cells of the most confused pairs.
        mistakes: The most confident ones.
        unsure: The least sure examples.
        plots: Confidence and precision.
        thresholds: Those chosen for a recall or precision; None where none was asked for.
        entities: Mistakes by type, and texts with mistakes, where words are labelled.
        heat: What is said of the heat maps of mistakes and unsure examples; empty without.
    """

    id: str
    name: str
    metrics: Table
    units: Table | None
    classes: Table | None
    names: list[str]
    matrix: list[list[Cell]]
    pairs: list[Cell]
    mistakes: list[Card]
    unsure: list[Card]
    plots: list[Plot]
    thresholds: Thresholds | None = None
    entities: tuple[Table, Group] | None = None
    heat: Sequence[str] = ()

    @property
    def cells(self) -> list[Cell]:
        """The cells that have a gallery."""
        found = {cell.id: cell for row in (*self.matrix, self.pairs) for cell in row if cell.id}
        return [*found.values()]


def _metrics_of(run: Run, split: str, output: str) -> dict[str, Any]:
    """Metrics of an output on a split."""
    metrics = run.metrics[split]
    return metrics if [*run.outputs] == [LABEL] else metrics.get(output, {})


def read_classes(run: Run, output: str, digests: Mapping[str, str]) -> Classes | None:
    """The test predictions of a classification; None for other objectives."""
    objective = run.outputs[output].objective
    if not isinstance(objective, Classification):
        return None
    predicted = objective.read_predictions(run.folder / prediction_file("test", output))
    copies = families(np.array([digests.get(key, "") for key in predicted.keys], object))
    return classes(predicted, copies)


def looked_at(found: Classes) -> list[str]:
    """Paths of the mistakes and of the least sure examples, which have heat maps."""
    places = [*_mistakes(found), *least_sure(found.predicted.scores, SHOWN)]
    return [str(found.predicted.keys[place]) for place in places]


def keys_of(found: Classes, limits: Limits) -> list[str]:
    """Paths of the examples that a section shows."""
    places = [*_mistakes(found), *least_sure(found.predicted.scores, SHOWN)]
    for true, predicted in _cells(found):
        places += [*_shown(found, true, predicted, limits)]
    return [str(found.predicted.keys[place]) for place in places]


def section(
    run: Run,
    output: str,
    found: Classes | None,
    gallery: Gallery,
    limits: Limits,
    train: Mapping[str, int],
    maps: HeatMaps | None = None,
) -> OutputSection:
    """Describe an output.

    Args:
        run: The run.
        output: Name of the output.
        found: As ``read_classes`` gives it.
        gallery: Has loaded the examples of ``keys_of``.
        limits: Of the number of images.
        train: Number of training examples by class.
        maps: Where the model looked in the mistakes and the least sure examples.
    """
    test, place = run.test_metrics(output), [*run.outputs].index(output)
    units = next((unit_table(of, test[key]) for key, of in UNITS.items() if key in test), None)
    several = [*run.outputs] != [LABEL]
    if found is not None:
        test = {**test, "macro_f1_interval": found.macro_f1_interval}
    metrics = metrics_table(test, _metrics_of(run, "val", output), _baselines(run, output))
    name, anchor = short(output) if several else "", f"o{place}"
    if found is None:
        return OutputSection(
            *(anchor, name, metrics, units, None, [], [], [], [], [], []),
            thresholds=thresholds_of(test),
            entities=_entities(run, output, gallery),
        )
    made = {pair: _cell(found, anchor, *pair, gallery, limits) for pair in _cells(found)}
    k, predicted = len(found.predicted.names), found.predicted
    images = None if maps is None else maps.images
    matrix = [[made[i, j] for j in range(k)] for i in range(k)] if k <= MATRIX else []
    return OutputSection(
        anchor,
        name,
        metrics,
        None,
        found.table(dict(train)),
        [short(one, 40) for one in predicted.names],
        matrix,
        [made[pair.true, pair.predicted] for pair in found.pairs],
        gallery.cards(predicted, _mistakes(found), images),
        gallery.cards(predicted, least_sure(predicted.scores, SHOWN), images),
        plots(found, calibration_of(run, output)),
        thresholds_of(test),
        heat=() if maps is None else maps.sentences,
    )


def _entities(run: Run, output: str, gallery: Gallery) -> tuple[Table, Group] | None:
    objective = run.outputs[output].objective
    if not objective.per_token:
        return None
    predicted = objective.read_predictions(run.folder / prediction_file("test", output))
    found = entity_mistakes(predicted)
    return found.counts(), found.group(gallery)


def unit_verdict(run: Run, output: str) -> str:
    """A sentence or two on an output that is no classification."""
    objective, test = run.outputs[output].objective, run.test_metrics(output)
    main = objective.headline[0]
    bounds, base = test.get(f"{main}_interval"), run.simple_baseline(output).get(main)
    shown = (
        ""
        if bounds is None
        else " (95 % interval {} to {})".format(*(metric_text(main, bound) for bound in bounds))
    )
    against = (
        ""
        if base is None
        else (f", against {metric_text(main, base)} of the baseline that looks at no input")
    )
    of = "" if [*run.outputs] == [LABEL] else f" of {short(output)}"
    return (
        f"On {test['n']:,} test examples that the model has never seen, {title(main)}{of} is "
        f"{metric_text(main, test.get(main))}{shown}{against}.{_weakest_type(test, main)}"
    )


def _weakest_type(test: Mapping[str, Any], metric: str) -> str:
    """Of entities: the type that is found worst."""
    types = {
        name: row
        for name, row in test.get("per_type", {}).items()
        if row.get("support") and row.get(metric) is not None
    }
    if len(types) < 2:
        return ""
    name, row = min(types.items(), key=lambda one: one[1][metric])
    value = f"{title(metric)} {metric_text(metric, row[metric])}"
    return f" It is weakest on {quoted(name)} ({value}; {row['support']:,} entities)."


def _baselines(run: Run, output: str) -> dict[str, dict[str, Any]]:
    """Metrics of the baselines of an output by name; those that failed have none."""
    objective = run.outputs[output].objective
    rows = {objective.baseline_name: run.simple_baseline(output)}
    alone = [*run.outputs] == [LABEL]
    for name, metrics in run.metrics["baselines"].items():
        # Of several outputs, each has a model of its own to be compared with.
        of_this = alone or name == f"single_task_{output}"
        if of_this and name not in rows and "error" not in metrics:
            rows[name] = metrics
    return rows


def _mistakes(found: Classes) -> np.ndarray:
    _, true, scores, decided, _ = found.predicted
    return confident_mistakes(true, decided, scores, SHOWN)


def _cells(found: Classes) -> list[tuple[int, int]]:
    k = len(found.predicted.names)
    if k <= MATRIX:
        return [(i, j) for i in range(k) for j in range(k)]
    return [(pair.true, pair.predicted) for pair in found.pairs]


def _shown(found: Classes, true: int, predicted: int, limits: Limits) -> np.ndarray:
    if not found.counts[true, predicted]:
        return np.zeros(0, int)
    return confusion(found, true, predicted)[: limits.right if true == predicted else limits.wrong]


def _cell(
    found: Classes, anchor: str, true: int, predicted: int, gallery: Gallery, limits: Limits
) -> Cell:
    places = _shown(found, true, predicted, limits)
    count, total = int(found.counts[true, predicted]), int(found.counts[true].sum())
    names = [short(found.predicted.names[place], 40) for place in (true, predicted)]
    share = count / total if total else 0.0
    right = true == predicted
    said = f"{names[0]}, rightly found" if right else f"{names[0]} taken for {names[1]}"
    text = f"{said}: {count:,} of {total:,} ({percent(share)})"
    cards = gallery.cards(found.predicted, places)
    key = f"{anchor}-cell-{true}-{predicted}" if cards else ""
    return Cell(key, count, share, right, text, cards)
