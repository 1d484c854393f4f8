"""Compare finished runs with the first, on the test examples that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.evaluation.prediction_files import prediction_file
from keras_transfer.objectives.base import Objective
from keras_transfer.runs import Run, digests_by_path
from keras_transfer.runs.series import runs_of

if TYPE_CHECKING:
    from keras_transfer.evaluation.paired import Aligned

__all__ = ["align_runs", "by_output", "compare_runs"]


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


def align_runs(
    models: Sequence[Sequence[Run]], output: str, objective: Objective
) -> tuple[Aligned, np.ndarray]:
    """Read the predictions of an output, and find the examples that all runs have.

    Args:
        models: For each model its runs.
        output: Name of the output.
        objective: Its objective.

    Returns:
        The predictions, and (n,) int64 families of copies.

    Raises:
        BadData: As ``align_predictions`` raises it.
    """
    # Imported here, so that `--help` does not wait for SciPy.
    from keras_transfer.evaluation.paired import align_predictions

    file = prediction_file("test", output)
    read = [[objective.read_predictions(run.folder / file) for run in runs] for runs in models]
    try:
        aligned = align_predictions(read)
    except BadData as error:
        # Several outputs have a file each, so the message says which one differs.
        raise error if output == LABEL else BadData(f"Output {output}: {error}") from None
    # One table is enough: only examples that all runs share are compared.
    digests = digests_by_path(models[0][0].split)
    return aligned, families(np.array([digests.get(key, "") for key in aligned.keys], object))


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
