"""Frozen features and a classical learner, in one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from keras_transfer.config.groups import Learner
from keras_transfer.config.learner_checks import LEARNT, learner_problem
from keras_transfer.config.stages import Stage
from keras_transfer.errors import BadConfiguration
from keras_transfer.workflows.finetune import FineTune, Stages

if TYPE_CHECKING:
    import keras

    from keras_transfer.workflows.stage_runner import Setup, StageRunner

__all__ = ["FeatureExtraction"]


class FeatureExtraction(FineTune):
    """Fit a learner of scikit-learn to the pooled features of a frozen backbone.

    The result is a run like any other: the learner becomes layers behind the backbone, so that
    ``predict``, ``evaluate``, exports and ``serve`` work as with a trained head.
    """

    stages: Stages = LEARNT
    learner: Learner = Field(
        Learner(),
        description="logistic_regression, linear_svm, svm, knn, lda, nearest_mean, decision_tree, "
        "random_forest or gradient_boosting",
        json_schema_extra={"section": "Training"},
    )

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that exclude each other."""
        super().model_post_init(context)
        reason = learner_problem(self)
        if reason:
            raise BadConfiguration(reason)

    def _backbone(self, weights: str, learnt: Any) -> keras.Model:
        from keras_transfer.learners.fitting import check_parameters

        # Before a large network is built, and before the data are read.
        check_parameters(self.learner.name, self.learner.parameters)
        return super()._backbone(weights, learnt)

    def _make_runner(self, setup: Setup, stages: Sequence[Stage], folder: Path) -> StageRunner:
        from keras_transfer.workflows.learning import LearnerRunner

        return LearnerRunner(setup, stages, folder, self.learner)
