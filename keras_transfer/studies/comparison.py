"""Compare finished runs with the first, on the test examples that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration
from keras_transfer.objectives.base import Objective
from keras_transfer.runs import Run
from keras_transfer.runs.series import runs_of
from keras_transfer.runs.shared_examples import align_runs

__all__ = ["by_output", "compare_runs"]


def compare_runs(folders: Sequence[str], resamples: int = 2000) -> dict[str, Any]:
    """Compare runs, or series over seeds, with the first one.

    Args:
        folders: Of two or more runs or series.
        resamples: Number of resamples of the bootstrap.

    Returns:
        "first", its folder; "runs", how many it has; and of the only output, or by output in
        "outputs": "objective", "examples", "distinct" (copies count once), "left_out", and
        "others": for each other folder "run", "runs" and what ``Objective.compare`` gives.

    Raises:
        BadConfiguration: A folder holds no finished run, or the runs have different objectives.
        BadData: They differ in classes, labels, targets or true values, or share no example.
    """
    models = [runs_of(folder) for folder in folders]
    _check_objectives(models)
    outputs = models[0][0].outputs
    found = {
        name: _compare(folders, models, name, output.objective, resamples)
        for name, output in outputs.items()
    }
    return {"first": folders[0], "runs": len(models[0]), **by_output(found, "outputs")}


def by_output(found: dict[str, Any], key: str) -> dict[str, Any]:
    """What was found of the only output; or {key: all of it}, where there are several."""
    return found[LABEL] if [*found] == [LABEL] else {key: found}


def _check_objectives(models: Sequence[Sequence[Run]]) -> None:
    """Refuse runs whose outputs or objectives are not those of the first."""
    first, *others = (run for runs in models for run in runs)
    for run in others:
        if _predicts(run) != _predicts(first):
            shown = (f"{one.folder} predicts {_text(_predicts(one))}" for one in (first, run))
            raise BadConfiguration(
                f"The runs have different objectives: {'; '.join(shown)}. Compare runs that "
                "predict the same."
            )


def _predicts(run: Run) -> dict[str, str]:
    # By type alone: a loss weight or a class weight does not change what is predicted.
    return {name: output.objective.type for name, output in run.outputs.items()}


def _text(predicts: dict[str, str]) -> str:
    if [*predicts] == [LABEL]:
        return predicts[LABEL]
    return ", ".join(f"{name} ({objective})" for name, objective in predicts.items())


def _compare(
    folders: Sequence[str],
    models: Sequence[Sequence[Run]],
    output: str,
    objective: Objective,
    resamples: int,
) -> dict[str, Any]:
    aligned, copies = align_runs(models, output, objective)
    others = [
        {
            "run": folder,
            "runs": len(models[place]),
            **objective.compare(aligned, 0, place, draws=resamples, families=copies),
        }
        for place, folder in enumerate(folders[1:], start=1)
    ]
    return {
        "objective": objective.type,
        "examples": len(aligned.true),
        "distinct": len(np.unique(copies)),
        "left_out": aligned.left_out,
        "others": others,
    }
