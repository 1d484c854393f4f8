"""Predictions of several runs for the examples that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadData
from keras_transfer.evaluation.prediction_files import prediction_file
from keras_transfer.objectives.base import Objective
from keras_transfer.runs.run import Run
from keras_transfer.runs.split_table import digests_by_path

if TYPE_CHECKING:
    from keras_transfer.evaluation.paired import Aligned

__all__ = ["align_runs"]


def align_runs(
    models: Sequence[Sequence[Run]], output: str, objective: Objective, split: str = "test"
) -> tuple[Aligned, np.ndarray]:
    """Read the predictions of an output, and find the examples that all runs have.

    Args:
        models: For each model its runs.
        output: Name of the output.
        objective: Its objective.
        split: "test" or "val".

    Returns:
        The predictions, and (n,) int64 families of copies.

    Raises:
        BadData: As ``align_predictions`` raises it.
    """
    # Imported here, so that `--help` does not wait for SciPy.
    from keras_transfer.evaluation.paired import align_predictions

    file = prediction_file(split, output)
    read = [[objective.read_predictions(run.folder / file) for run in runs] for runs in models]
    try:
        aligned = align_predictions(read)
    except BadData as error:
        # Several outputs have a file each, so the message says which one differs.
        raise error if output == LABEL else BadData(f"Output {output}: {error}") from None
    # One table is enough: only examples that all runs share are compared.
    digests = digests_by_path(models[0][0].split)
    return aligned, families(np.array([digests.get(key, "") for key in aligned.keys], object))
