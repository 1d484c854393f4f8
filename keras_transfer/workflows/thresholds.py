"""Operating thresholds: what is wrong with the data is said before training, the choice after."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.operating import positive_place
from keras_transfer.objectives.outputs import labels_of

__all__ = ["check_thresholds", "report_thresholds"]

logger = logging.getLogger("keras_transfer")

SHOWN = 5
"""Labels that a message names."""


def check_thresholds(objectives: Mapping[str, Objective], samples: Samples) -> None:
    """Refuse the threshold of a class that the data, or their val split, do not have.

    Args:
        objectives: By the name of the output.
        samples: With all their splits.

    Raises:
        BadConfiguration: There are more classes than two; or none has that name.
        BadData: No val example is of the class.
    """
    for name, objective in objectives.items():
        # Labels without val examples keep their default, with a warning.
        if not isinstance(objective, Classification) or not objective.threshold.wanted:
            continue
        values, names = labels_of(samples.split("val"), name)
        if len(names) != 2:
            raise BadConfiguration(
                f"threshold is for two classes, and the data have {len(names)}: "
                f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}. Choose two "
                "by data.classes, or make each class a label of its own: objective = multilabel."
            )
        try:
            place = positive_place(objective.threshold, names)
        except UnknownName as error:
            raise error.within("threshold.positive") from None
        if not (np.asarray(values) == place).any():
            raise BadData(
                f"No val example is of the class {names[place]!r}, so no threshold can be chosen "
                "for it. Hold out more examples: --set split.val=0.3."
            )


def report_thresholds(name: str, val: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    """Log the thresholds of an output, and warn of what the val split does not show.

    Args:
        name: Of the output.
        val: Metrics of val, as ``Objective.evaluate`` gives them.
        test: Those of test.
    """
    if "threshold" not in val:
        return
    asked, of = val["threshold"]["asked"], "" if name == LABEL else f" of the output {name}"
    rows, tested = (_by_name(found["threshold"]) for found in (val, test))
    ((metric, wanted),) = asked.items()
    for unit in [*rows][:SHOWN]:
        _told(f"{unit}{of}", metric, wanted, rows[unit], tested[unit])
    if len(rows) > SHOWN:
        logger.info("metrics.json has those of all %s labels", len(rows))
    absent = [unit for unit, row in rows.items() if not row["at_0.5"]["positives"]]
    if absent:
        logger.warning(
            "Warning: no val example has the label %s, so its threshold is 0.5. Hold out more "
            "examples: --set split.val=0.3.",
            _listed(absent),
        )
    missing = [unit for unit, row in rows.items() if row["value"] is None and unit not in absent]
    if missing:
        logger.warning(
            "Warning: no threshold has a %s of %g on val for %s; %s. Ask for less, or hold out "
            "more examples: --set split.val=0.3.",
            *(metric, wanted, _listed(missing)),
            "the answers are those at 0.5" if "positive" in val["threshold"] else "they have the "
            "one with the highest F1",
        )  # fmt: skip
    _warn_of_few(rows, metric, wanted)


def _by_name(found: Mapping[str, Any]) -> dict[str, Any]:
    """Rows by class or label."""
    return found.get("per_label") or {found["positive"]: found}


def _told(unit: str, metric: str, wanted: float, val: Any, test: Any) -> None:
    from keras_transfer.evaluation.thresholds import rate_text

    if val["value"] is None:
        return
    logger.info(
        "Threshold of %s %.4f for a %s of %g: on val recall %s, precision %s; on test recall %s, "
        "precision %s",
        *(unit, val["value"], metric, wanted),
        *(rate_text(found, rate) for found in (val, test) for rate in ("recall", "precision")),
    )


def _warn_of_few(rows: Mapping[str, Any], metric: str, wanted: float) -> None:
    from keras_transfer.evaluation.thresholds import too_few

    chosen = {unit: row for unit, row in rows.items() if row["value"] is not None}
    few = {unit: too_few(wanted, row, metric) for unit, row in chosen.items()}
    short = {unit: bound for unit, bound in few.items() if bound is not None}
    if not short:
        return
    worst = min(short, key=lambda unit: short[unit])
    of = "positives" if metric == "recall" else "predicted"
    what = "positive val examples" if metric == "recall" else "val examples above the threshold"
    logger.warning(
        "Warning: val says little of a %s of %g for %s: %s has %s %s, and if all were right, "
        "that would show a %s of %.3f at least (Wilson's 95 %% interval). Hold out more: "
        "--set split.val=0.3.",
        *(metric, wanted, _listed([*short]), worst, f"{rows[worst][of]:,}", what),
        *(metric, short[worst]),
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
