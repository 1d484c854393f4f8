"""Whether new examples, with labels or without, are like those that a run was validated on.

Imported when they are compared, not before: it needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_transfer.atomic import write_json
from keras_transfer.data import sources
from keras_transfer.domains.drift_tests import (
    Drift,
    confidence_drift,
    detectable_share,
    holm,
    share_drift,
)
from keras_transfer.inputs.table import read_input
from keras_transfer.runs import Run
from keras_transfer.workflows.domain_report import Comparison, compare
from keras_transfer.workflows.domain_source import from_run, open_run
from keras_transfer.workflows.domain_target import read_target
from keras_transfer.workflows.domain_verdict import NOTICEABLE

__all__ = ["FEW", "LEVEL", "judged", "measure_drift"]

LEVEL = 0.05
"""Adjusted p-values up to this are drift."""
FEW = 0.2
"""A test that shows no smaller difference of a share says little."""
FAR = 1.5
"""A-distance of 2 from which estimates of the accuracy are not believed."""
WRONG = 0.1
"""Share of surely wrong predictions, if the classes' shares are the old ones, that is too many."""

FILE = "drift.json"


def measure_drift(
    folder: str | Path, data: str | Path, *, size: int = 500, seed: int = 0, unlabelled: bool = True
) -> tuple[Path, dict[str, Any]]:
    """Compare new examples with the held-out ones of a run; written as ``drift.json``.

    The measures are those of ``kt-recipe domains``, and tests of what the model says.

    Args:
        folder: Of the run.
        data: New examples, as ``read_target`` takes them.
        size: Most examples of both.
        seed: Of all draws.
        unlabelled: Read no labels; else the loss is measured by them.

    Returns:
        The file, and its content.

    Raises:
        BadConfiguration: The run predicts other than one class for each example.
        BadData: There are too few examples, or those of the run are gone.
    """
    run = open_run(folder)
    texts = read_input(run.settings["input"]).text_columns
    target = read_target(data, run.classes, texts=texts, unlabelled=unlabelled)
    found = compare(from_run(run, None, size, seed), target, size=size, seed=seed)
    document = {"data": sources.describe(data), "run": str(run.folder), **judged(found, seed)}
    return _written(run, document), document


def judged(found: Comparison, seed: int) -> dict[str, Any]:
    """Tests, estimated accuracy and the sentence on trust of two compared domains.

    Args:
        found: As ``compare`` gives it.
        seed: Of the tests' draws.

    Returns:
        "tests": "features", "confidence" and "shares" with "p_value", "adjusted" (Holm) and
        "effect"; "found", the names of those that found drift; "detectable", the difference of a
        share that so many examples show; "trust": "yes", "care", "no" or "unknown"; "text";
        "accuracy", "loss", "shares", "source" and "target" as in ``domains.json``.
    """
    source, target, document = found.source, found.target, found.document
    classes = len(source.samples.classes)
    distances = document["distances"]
    tests = {
        "features": Drift(distances["mmd_p_value"], distances["a_distance"] / 2),
        "confidence": confidence_drift(source.probabilities, target.probabilities),
        "shares": share_drift(source.predicted, target.predicted, classes, seed=seed),
    }
    adjusted = holm({name: one.p_value for name, one in tests.items()})
    rows = {name: {**one._asdict(), "adjusted": adjusted[name]} for name, one in tests.items()}
    result: dict[str, Any] = {
        "tests": rows,
        "found": [name for name, p in adjusted.items() if p <= LEVEL],
        "detectable": detectable_share(len(source), len(target), LEVEL),
        "accuracy": document["accuracy"],
        "loss": document["loss"],
        "shares": document["label_shift"],
        "source": document["source"],
        "target": document["target"],
    }
    trust = _trust(result)
    return {"trust": trust, "text": _TEXTS[trust](result), **result}


def _trust(found: Mapping[str, Any]) -> str:
    loss, features = found["loss"], found["tests"]["features"]["effect"]
    lost = loss["value"] >= NOTICEABLE and (not loss["measured"] or loss["low"] > 0)
    if loss["measured"] and lost:
        return "no"
    if not found["found"]:
        return "unknown" if found["detectable"] > FEW else "yes"
    wrong = "shares" in found["found"] and found["shares"]["least_error"] >= WRONG
    # What is measured by labels is known, however different the examples look.
    if not loss["measured"] and (lost or 2 * features >= FAR or wrong):
        return "no"
    return "care"


def _yes(found: Mapping[str, Any]) -> str:
    return f"Trust it as before: no drift was found in {_size(found)}; {_accuracy(found)}."


def _unknown(found: Mapping[str, Any]) -> str:
    return (
        f"Not known: no drift was found, but {_size(found)} are few: a share that differs by less "
        f"than {found['detectable']:.2f} is often missed; {_accuracy(found)}."
    )


def _care(found: Mapping[str, Any]) -> str:
    return (
        f"Trust it with care: {_names(found)} have drifted, and {_accuracy(found)}; look at "
        "examples, and label some."
    )


def _no(found: Mapping[str, Any]) -> str:
    drifted = f"{_names(found)} have drifted, and " if found["found"] else ""
    cure = "" if found["loss"]["measured"] else ", if not lower: label some examples and measure it"
    return f"Do not trust it: {drifted}{_accuracy(found)}{cure}."


_TEXTS = {"yes": _yes, "unknown": _unknown, "care": _care, "no": _no}


def _size(found: Mapping[str, Any]) -> str:
    return f"{found['target']['examples']:,} new examples"


def _names(found: Mapping[str, Any]) -> str:
    words = {"shares": "predicted shares"}
    *first, last = (words.get(name, name) for name in found["found"])
    return " and ".join([", ".join(first), last]) if first else last


def _accuracy(found: Mapping[str, Any]) -> str:
    loss = found["loss"]
    how = "is" if loss["measured"] else "is estimated to be"
    return (
        f"the accuracy {how} {loss['source'] - loss['value']:.3f} instead of {loss['source']:.3f}"
    )


def _written(run: Run, document: Mapping[str, Any]) -> Path:
    path = run.next_evaluation() / FILE
    write_json(path, document)
    return path
