"""What ``kt-recipe evaluate`` says of examples without labels, and of their drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration
from keras_transfer.exports import Export
from keras_transfer.inputs.table import read_input
from keras_transfer.objectives.outputs import single_class
from keras_transfer.runs import Run

__all__ = ["drift_lines", "drift_of", "has_no_labels"]


def has_no_labels(done: Run | Export, data: str | None) -> bool:
    """Whether data for a classification have no labels, such as a folder of images."""
    from keras_transfer.workflows.domain_target import holds_labels

    objectives = {name: output.objective for name, output in done.outputs.items()}
    if data is None or not single_class(objectives):
        return False
    columns = read_input(done.settings["input"]).text_columns
    label = done.settings["data"].get("label_column", LABEL)
    return not holds_labels(data, columns, label)


def drift_of(
    done: Run | Export, data: str | None, *, labelled: bool, tta: str | None
) -> dict[str, Any]:
    """Measure drift; see ``workflows.drift.measure_drift``.

    Raises:
        BadConfiguration: There are no data, or it is an export; or the data have no labels, and
            ``tta`` asks for metrics.
    """
    from keras_transfer.workflows.drift import measure_drift

    if data is None:
        raise BadConfiguration("--drift compares other data with those of the run: give --data.")
    if not isinstance(done, Run):
        reason = (
            "--drift is measured" if labelled else f"{data} has no labels, and drift is measured"
        )
        raise BadConfiguration(
            f"{reason} against held-out examples, which an export does not have. Name the run "
            f"instead of {done.folder}."
        )
    if tta is not None and not labelled:
        raise BadConfiguration(f"{data} has no labels, which --tta would be measured by.")
    path, found = measure_drift(done.folder, data, unlabelled=not labelled)
    return {"file": str(path), **found}


def drift_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """A result of ``drift_of`` for people: the sentence first."""
    from keras_transfer.evaluation.layout import aligned

    yield found["text"]
    source, target = found["source"], found["target"]
    yield (
        f"Compared: {target['examples']:,} new examples with {source['test']:,} test and "
        f"{source['val']:,} val examples of {source['name']}"
    )
    yield from _left_out(target)
    table = [["drift of", "p", "p, adjusted", "effect (0 to 1)"]]
    for name, title in TITLES.items():
        row = found["tests"][name]
        table.append([title, *map(_p, (row["p_value"], row["adjusted"])), f"{row['effect']:.3f}"])
    yield "\n" + aligned(table)
    yield f"A share that differs by less than {found['detectable']:.2f} is often missed.\n"
    yield from _accuracy(found["accuracy"])
    yield f"\nWritten to {found['file']}; more: kt-recipe domains {source['name']} --target ..."


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


TITLES = {
    "features": "features (MMD; half of the A-distance)",
    "confidence": "confidence (Kolmogorov-Smirnov; D)",
    "shares": "predicted shares (chi²; Cramér's V)",
}


def _left_out(target: Mapping[str, Any]) -> Iterator[str]:
    known = target["examples_of_the_source"]
    rows = {"cannot be used": target["invalid"], "are examples of the run": known}
    rows["are copies of others"] = target["copies"]
    told = [f"{count:,} {what}" for what, count in rows.items() if count]
    if told:
        yield f"Left out: {', '.join(told)}"


def _accuracy(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"Accuracy on held-out examples: {found['held_out']:.3f}"
    if found["target"] is not None:
        yield f"Accuracy on the new ones: {_with_interval(found['target'], 'accuracy')}"
    for name, row in found["estimates"].items():
        yield f"Estimated by the {name.replace('_', ' ')}: {_with_interval(row, 'value')}"


def _with_interval(row: Mapping[str, Any], key: str) -> str:
    return f"{row[key]:.3f} ({row['low']:.3f} to {row['high']:.3f})"
