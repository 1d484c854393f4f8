"""What adaptation wins on the target, with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import Samples
from keras_transfer.evaluation.paired import Aligned, Run, paired_differences
from keras_transfer.objectives.classification import Classification

__all__ = ["accuracy_gain"]


def accuracy_gain(samples: Samples, source_only: np.ndarray, adapted: np.ndarray) -> dict[str, Any]:
    """Accuracy of the adapted model less that of the model without adaptation.

    Args:
        samples: n labelled examples of the target.
        source_only: (n, classes) probabilities without adaptation.
        adapted: (n, classes) with it.

    Returns:
        "difference", and its 95 % "interval" by a bootstrap over examples, the same for both.
    """
    models = [[Run(scores, scores.argmax(axis=1))] for scores in (source_only, adapted)]
    aligned = Aligned(samples.keys, samples.labels, models, samples.classes, 0)
    metrics = {"accuracy": Classification().paired_metrics(samples.classes)["accuracy"]}
    found = paired_differences(aligned, metrics, families=families(samples.digests))["accuracy"]
    return {name: found[name] for name in ("difference", "interval")}
