"""What an adaptation to a target domain gave there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_transfer.evaluation.layout import metric_text
from keras_transfer.reports.wording import Table, interval, percent, short, table

__all__ = ["Adaptation", "adaptation"]


class Adaptation(NamedTuple):
    """The model without and with adaptation, on the target domain.

    Attributes:
        method: Its name.
        examples: Number of examples of the target.
        kept: "adapted" or "source_only".
        table: A row for each model.
        labelled: Whether the labels of the target are known.
        gain: Difference of the accuracies, in points; empty if they are not known.
        gain_interval: Its 95 % interval.
        verdict: The same in a sentence.
    """

    method: str
    examples: int
    kept: str
    table: Table
    labelled: bool
    gain: str
    gain_interval: str
    verdict: str


def adaptation(metrics: Mapping[str, Any]) -> Adaptation | None:
    """Read what an adaptation gave on the target domain; None for other runs.

    Args:
        metrics: As ``metrics.json`` has them.
    """
    found = metrics.get("adaptation")
    if not found:
        return None
    models = found.get("target", {})
    names = ("accuracy", "accuracy_interval", "macro_f1", "log_loss")
    rows = []
    for name, value in found["values"].items():
        accuracy, bounds, f1, loss = (models.get(name, {}).get(key) for key in names)
        kept = "kept" if name == found["kept"] else ""
        cells = [percent(accuracy), interval(bounds), metric_text("macro_f1", f1)]
        rows.append(
            [name.replace("_", " "), f"{value:.4g}", *cells, metric_text("log_loss", loss), kept]
        )
    header = ["model", short(found["choose_by"]), "accuracy on the target", "95 % interval"]
    gain = found.get("difference")
    return Adaptation(
        found["method"],
        found["examples"],
        found["kept"],
        table([*header, "macro F1", "log loss", ""], rows),
        bool(models),
        "" if gain is None else f"{100 * gain:+.1f} points",
        _points(found.get("interval")),
        _verdict(found, models),
    )


def _verdict(found: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    kept = found["kept"].replace("_", " ")
    if not models:
        return (
            "The target domain has no labels, so nothing is known about the accuracy there; the "
            f"kept model is the {kept} one."
        )
    adapted, plain = (percent(models[name]["accuracy"]) for name in ("adapted", "source_only"))
    bounds = _points(found.get("interval"))
    return (
        f"On {found['examples']:,} examples of the target domain the adapted model is right on "
        f"{adapted}, that without adaptation on {plain} (difference {bounds or '-'} points, 95 % "
        f"interval); the {kept} one was kept."
    )


def _points(bounds: Any) -> str:
    return "" if bounds is None else " to ".join(f"{100 * bound:+.1f}" for bound in bounds)
