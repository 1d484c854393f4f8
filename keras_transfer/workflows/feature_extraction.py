"""Frozen features and a classical learner, in one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, PrivateAttr
from typing_extensions import Self

from keras_transfer.config.groups import Backbone, Learner, LearnerName
from keras_transfer.config.learner_checks import LEARNT, learner_problem
from keras_transfer.config.stages import Stage
from keras_transfer.errors import BadConfiguration, BadWeights
from keras_transfer.methods.feature_adaptation import FeatureAdaptation
from keras_transfer.methods.supervised import Supervised
from keras_transfer.methods.table import AnyMethod
from keras_transfer.workflows.candidates import SYNTAX, label, parsed
from keras_transfer.workflows.finetune import FineTune, Stages, listed

if TYPE_CHECKING:
    import keras

    from keras_transfer.workflows.stage_runner import Setup, StageRunner

__all__ = ["FeatureExtraction"]


class FeatureExtraction(FineTune):
    """Fit a learner of scikit-learn to the pooled features of a frozen backbone, or of several.

    The result is a run like any other: the learner becomes layers behind the backbone, so that
    ``predict``, ``evaluate``, exports and ``serve`` work as with a trained head.
    ``backbone=("mobilenet_v2", "vgg16")`` is ``backbone="mobilenet_v2", fuse="vgg16"``, and
    ``transform=TCA(target_data="...")`` is ``method=TCA(target_data="...")``.
    """

    method: AnyMethod = Field(
        Supervised(),
        description="supervised, or adaptation to target_data: tca, jda, coral, "
        "subspace_alignment, domain_standardization, kmm, kliep",
        json_schema_extra={"section": "Training"},
    )

    stages: Stages = LEARNT
    learner: Learner = Field(
        Learner(),
        description="classical learner: " + ", ".join(get_args(LearnerName)),
        json_schema_extra={"section": "Training"},
    )
    fuse: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (),
        description=f"further backbones, whose features are joined: {SYNTAX}, ...",
        json_schema_extra={"section": "Network"},
    )

    fusion: Literal["features", "probabilities"] = Field(
        "features",
        description="features: one learner on all; probabilities: one for each backbone, and the "
        "mean of their probabilities, with weights by val",
        json_schema_extra={"section": "Network"},
    )

    _networks: list[keras.Model] = PrivateAttr(default_factory=list)

    @classmethod
    def _complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return super()._complete(_as_fuse(_as_method(settings)))

    def changed(self, **settings: Any) -> Self:
        """See ``Recipe.changed``."""
        return super().changed(**_as_fuse(_as_method(settings)))

    @property
    def fused(self) -> list[Backbone]:
        """The backbones besides the first."""
        return [parsed(text) for text in self.fuse]

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that exclude each other."""
        # First: the rules of networks would name settings that a learner does not have.
        reason = learner_problem(self, self.fused)
        if reason:
            raise BadConfiguration(reason)
        super().model_post_init(context)

    def train(self, folder: Path, source: Any) -> dict[str, Any]:
        """Check, read, fit, evaluate; everything is written into the directory."""
        if isinstance(self.method, FeatureAdaptation):
            from keras_transfer.workflows.target_check import check_target

            check_target(self.method, source)
        return super().train(folder, source)

    def _backbone(self, weights: str, learnt: Any) -> keras.Model:
        from keras_transfer.learners.fitting import check_parameters
        from keras_transfer.networks.fused import check_maps

        # Before a large network is built, and before the data are read.
        check_parameters(self.learner.name, self.learner.parameters)
        network = super()._backbone(weights, learnt)
        if not self.fuse:
            return network
        self._networks[:] = [
            self._further(one, network.input_shape[1], random=weights == "none")
            for one in self.fused
        ]
        names = map(label, [self.backbone, *self.fused])
        check_maps(dict(zip(names, [network, *self._networks], strict=True)))
        return network

    def _further(self, backbone: Backbone, size: int, *, random: bool) -> keras.Model:
        """Build a further backbone, with random weights where settings are only checked."""
        from keras_transfer.workflows.building import build

        given = self.input.model_copy(update={"image_size": size})
        checking = random and self.backbone.weights != "none"
        try:
            return build(backbone, given, (), "none" if checking else backbone.weights, None)
        except BadWeights as error:
            raise BadWeights(
                f"fuse = {backbone.name} (weights of a file: {backbone.name}=FILE): {error}"
            ) from None

    def _make_runner(self, setup: Setup, stages: Sequence[Stage], folder: Path) -> StageRunner:
        from keras_transfer.workflows.learning import LearnerRunner
        from keras_transfer.workflows.parts import part_of

        networks = self._networks.copy()
        self._networks.clear()  # a recipe lives as long as its module
        more = [
            part_of(backbone, network, self.head.pooling, setup)
            for backbone, network in zip(self.fused, networks, strict=True)
        ]
        how: dict[str, Any] = {"backbone": self.backbone, "pooling": self.head.pooling}
        how["mixed"] = self.fusion == "probabilities"
        if not isinstance(self.method, FeatureAdaptation):
            return LearnerRunner(setup, stages, folder, self.learner, **how, more=more)
        from keras_transfer.workflows.adaptation_domain import read_domain
        from keras_transfer.workflows.adapted_learning import AdaptedRunner

        where = self.data.data_dir
        domain = read_domain(
            self.method, setup.samples, self.input, where, seed=self.seed, folder=folder
        )
        adapted = {"method": self.method, "domain": domain, **how}
        return AdaptedRunner(setup, stages, folder, self.learner, **adapted, more=more)


def _as_method(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with ``method`` where ``transform`` is another word for it."""
    result = dict(settings)
    if "transform" not in result:
        return result
    if "method" in result:
        raise BadConfiguration("transform is another word for method: give one of them.")
    result["method"] = result.pop("transform")
    return result


def _as_fuse(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which several backbones are the first one and ``fuse``."""
    backbone = settings.get("backbone")
    if not isinstance(backbone, list | tuple) or not backbone:
        return {**settings}
    if settings.get("fuse"):
        raise BadConfiguration("Several backbones and fuse are two words for one setting. Use one.")
    first, *more = backbone
    return {**settings, "backbone": first, "fuse": tuple(more)}
