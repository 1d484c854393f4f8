"""What a run says of its calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.samples import LABEL
from keras_transfer.evaluation.layout import calibration_text, title
from keras_transfer.evaluation.reliability import Reliability
from keras_transfer.runs.run import Run

__all__ = ["Fitted", "calibration_of"]

SHOWN = ("ece", "adaptive_ece", "brier", "log_loss")


class Fitted(NamedTuple):
    """The calibration of an output.

    Attributes:
        text: What was fitted, and what it changed on the test split.
        before: The reliability diagram without it; None where nothing was changed.
    """

    text: str
    before: Reliability | None


def calibration_of(run: Run, output: str) -> Fitted | None:
    """The calibration of an output of a run; None if it was not asked for."""
    found = run.metrics.get("calibration")
    if found and [*run.outputs] != [LABEL]:
        found = found.get(output)
    if not found:
        return None
    if found["reason"]:
        return Fitted(f"Not calibrated: {found['reason']}.", None)
    before, after = (found["test"][when] for when in ("before", "after"))
    changes = "; ".join(_change(name, before, after) for name in SHOWN)
    text = (
        f"Calibrated by the {calibration_text(found)}, fitted on "
        f"{found['examples']:,} val examples. On the test split: {changes}."
    )
    return Fitted(text, _diagram(before.get("bins")))


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    def value(metrics: Mapping[str, Any]) -> str:
        bounds = metrics[f"{name}_interval"]
        between = "" if bounds is None else " ({:.3f} to {:.3f})".format(*bounds)
        return f"{metrics[name]:.3f}{between}"

    return f"{title(name)} {value(before)} before, {value(after)} after"


def _diagram(bins: Mapping[str, Any] | None) -> Reliability | None:
    if bins is None:
        return None
    counts = np.array(bins["counts"], int)
    # None becomes NaN: a bin without examples.
    means = [np.array(bins[name], float) for name in ("confidence", "accuracy")]
    return Reliability(np.linspace(0, 1, len(counts) + 1), counts, *means)
