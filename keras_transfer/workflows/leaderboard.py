"""The table of a ranking: accuracies with intervals, what lies within noise, the Pareto front."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.atomic import write_csv
from keras_transfer.config.groups import Backbone
from keras_transfer.data.samples import Samples
from keras_transfer.domains.transferability import weighted_tau
from keras_transfer.evaluation.intervals import quantile_interval
from keras_transfer.evaluation.paired import Aligned, Run, resampled_metrics
from keras_transfer.evaluation.weighted import classification_metric
from keras_transfer.runs.records import read_record, write_record
from keras_transfer.workflows.candidates import label

if TYPE_CHECKING:
    from keras_transfer.workflows.ranking import Measured

__all__ = ["FILE", "leaderboard", "recommended", "stored_leaderboard", "write_leaderboard"]

FILE = "ranking.json"
DRAWS = 1000

logger = logging.getLogger("keras_transfer")


def leaderboard(
    measured: Sequence[Measured], train: Samples, families: np.ndarray, least_rate: float
) -> dict[str, Any]:
    """Compare backbones by their probes on the same examples.

    Args:
        measured: The backbones.
        train: The examples that the probes predict.
        families: (n,) int; related examples are resampled together.
        least_rate: Images per second that the recommended one must reach.

    Returns:
        JSON-ready: "examples", "classes", "least_images_per_second"; "backbones", the best first,
        with "accuracy" and its bootstrap "interval" over the examples, "difference" from the
        recommended one with its paired interval, "within_noise" where that includes 0, "pareto"
        where no other is both better and faster, scores, speed and sizes; "recommended", the
        label of the most accurate that is fast enough, or None; "agreement", the weighted
        Kendall's tau of each score with the accuracy, where there are three backbones or more.
    """
    metric = {"accuracy": classification_metric("accuracy", len(train.classes))}
    order = sorted(measured, key=lambda one: -float((one.probe.decided == train.labels).mean()))
    models = [[Run(one.probe.scores, one.probe.decided)] for one in order]
    aligned = Aligned(train.keys, train.labels, models, train.classes, 0)
    drawn = resampled_metrics(aligned, metric, draws=DRAWS, families=families)["accuracy"]
    rows = [_row(one, train.labels) for one in order]
    fast = [place for place, row in enumerate(rows) if row["images_per_second"] >= least_rate]
    best = fast[0] if fast else None
    for place, row in enumerate(rows):
        row["interval"] = quantile_interval(drawn[place])
        row["pareto"] = not any(_beats(other, row) for other in rows[:place] + rows[place + 1 :])
        if best is not None and place != best:
            low, high = quantile_interval(drawn[place] - drawn[best]) or [0.0, 0.0]
            row["difference"] = row["accuracy"] - rows[best]["accuracy"]
            row |= {"difference_interval": [low, high], "within_noise": low <= 0 <= high}
    return {
        "examples": len(train),
        "classes": len(train.classes),
        "least_images_per_second": least_rate,
        "recommended": None if best is None else rows[best]["backbone"],
        "backbones": rows,
        "agreement": _agreement(rows),
    }


def recommended(document: Mapping[str, Any]) -> Backbone | None:
    """The settings of the recommended backbone; None where none is fast enough."""
    for row in document["backbones"]:
        if row["backbone"] == document["recommended"]:
            return Backbone(name=row["name"], variant=row["variant"], weights=row["weights"])
    return None


def write_leaderboard(folder: Path, document: Mapping[str, Any]) -> None:
    """Write ``ranking.csv``, ``ranking.png`` where Matplotlib is installed, and ranking.json."""
    rows = [_flat(row) for row in document["backbones"]]
    header = [*dict.fromkeys(name for row in rows for name in row)]
    write_csv(folder / "ranking.csv", header, [[row.get(name) for name in header] for row in rows])
    try:
        from keras_transfer.evaluation.plots import plot_ranking
    except ImportError:
        logger.info("No ranking.png: pip install 'keras_transfer[plots]' brings Matplotlib")
    else:
        plot_ranking(folder / "ranking.png", document)
    # Last: the file marks a finished ranking, which a resumed run does not repeat.
    write_record(folder / FILE, document)


def stored_leaderboard(folder: Path) -> dict[str, Any] | None:
    """The ranking in a folder; None if there is none.

    Raises:
        BadData: The file is damaged.
    """
    path = folder / FILE
    return read_record(path, {"backbones": list}) if path.exists() else None


def _row(one: Measured, labels: np.ndarray) -> dict[str, Any]:
    backbone = one.backbone
    return {
        "backbone": label(backbone),
        "name": backbone.name,
        "variant": dict(backbone.variant),
        "weights": backbone.weights,
        "accuracy": float((one.probe.decided == labels).mean()),
        **one.scores,
        "images_per_second": round(one.images_per_second, 1),
        "parameters": one.parameters,
        "estimated_megabytes": round(one.megabytes, 1),
        "strengths": list(one.probe.strengths),
        "seconds": round(one.seconds, 1),
    }


def _beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one is at least as accurate and as fast as the other, and better in one of both."""
    pairs = [(one[key], other[key]) for key in ("accuracy", "images_per_second")]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _agreement(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of each score that three backbones or more have."""
    found = {}
    for name in ("log_me", "h_score", "regularized_h_score", "leep", "nce"):
        known = [row for row in rows if row[name] is not None]
        if len(known) >= 3:
            accuracies, scores = ([row[key] for row in known] for key in ("accuracy", name))
            tau = weighted_tau(accuracies, scores)
            if np.isfinite(tau):
                found[name] = tau
    return found


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the ends of an interval in columns of their own; settings as text."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("interval"):
            stem = "accuracy" if name == "interval" else "difference"
            flat[f"{stem}_low"], flat[f"{stem}_high"] = value or (None, None)
        elif not isinstance(value, dict | list):
            flat[name] = value
    return flat
