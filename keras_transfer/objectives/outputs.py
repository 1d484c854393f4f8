"""The outputs of a network: what each predicts, under which names, and how it is decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.table import OBJECTIVES

__all__ = [
    "Output",
    "Outputs",
    "encode",
    "from_json",
    "labels_of",
    "read_outputs",
    "single_class",
    "to_json",
]


@dataclass(frozen=True)
class Output:
    """An output of a network.

    Attributes:
        objective: What is predicted.
        names: Names of its units: classes, labels or targets.
        decision: What was fitted on the validation split to decide by.
    """

    objective: Objective
    names: tuple[str, ...]
    decision: Mapping[str, Any] = field(default_factory=dict)

    def decided(self, true: np.ndarray, scores: np.ndarray) -> Output:
        """The same output with a decision that was fitted on true values and scores.

        Args:
            true: True values as in ``Labels.values``.
            scores: (n, units) float: probabilities in [0, 1], or values in the data's units.
        """
        return replace(self, decision=self.objective.decision(true, scores, self.names))


Outputs = Mapping[str, Output]
"""By the name of the network's output."""


def labels_of(samples: Samples, output: str) -> Labels:
    """The true values of an output; those of ``samples.labels`` if it has no target of its own."""
    if output in samples.targets:
        return Labels(samples.targets[output], samples.names[output])
    return Labels(samples.labels, samples.classes)


def single_class(objectives: Mapping[str, Objective]) -> bool:
    """Whether the only objective is a classification of the label column."""
    return [*objectives] == [LABEL] and isinstance(objectives[LABEL], Classification)


def encode(
    samples: Samples,
    objectives: Mapping[str, Objective],
    names: Mapping[str, tuple[str, ...]] | None = None,
) -> Samples:
    """Turn text cells into the targets of each output; the first one gives the strata.

    Args:
        samples: With the columns that the objectives read as ``cells``.
        objectives: By the name of the output.
        names: Names of a trained network's units, by output; None: those of the cells.

    Raises:
        BadData: A cell cannot be used.
        BadConfiguration: A column is not there.
    """
    targets: dict[str, np.ndarray] = {}
    known: dict[str, tuple[str, ...]] = {}
    strata: tuple[np.ndarray, tuple[str, ...]] | None = None
    for output, objective in objectives.items():
        columns = objective.reads(output)
        missing = [name for name in columns if name not in samples.cells]
        if missing:
            raise BadConfiguration(
                f"The data have no column {missing[0]!r}, which objective reads; they have "
                f"{', '.join(samples.cells) or 'none'}."
            )
        labels = objective.encode(
            {name: samples.cells[name] for name in columns},
            names=None if names is None else names[output],
            keys=samples.keys.tolist(),
            # With one output an example without its value is useless; with several it has others.
            missing=len(objectives) > 1,
        )
        targets[output], known[output] = labels.values, labels.names
        # One stratification must serve all, so the first objective is the main one.
        strata = strata or objective.strata(labels)
    assert strata is not None
    return replace(samples, labels=strata[0], classes=strata[1], targets=targets, names=known)


def to_json(outputs: Outputs) -> dict[str, Any]:
    """The outputs as JSON can hold them."""
    return {
        name: {
            "objective": output.objective.model_dump(mode="json"),
            "names": list(output.names),
            "decision": dict(output.decision),
        }
        for name, output in outputs.items()
    }


def from_json(content: Mapping[str, Any]) -> dict[str, Output]:
    """Read what ``to_json`` returned."""
    return {
        name: Output(
            OBJECTIVES[row["objective"]["type"]](**row["objective"]),
            tuple(row["names"]),
            row["decision"],
        )
        for name, row in content.items()
    }


def read_outputs(path: Path) -> dict[str, Output]:
    """Read ``outputs.json``, or ``classes.json`` of version 1.

    Args:
        path: The file; ``classes.json`` is in the same folder.
    """
    if path.exists():
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    classes = json.loads(path.with_name("classes.json").read_text(encoding="utf-8"))
    if not isinstance(classes, list) or len({str(name) for name in classes}) < len(classes):
        raise ValueError("it should hold a list of different names")
    # Version 1 had classifications only.
    return {LABEL: Output(Classification(), tuple(classes))}
