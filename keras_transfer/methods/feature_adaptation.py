"""Domain adaptation of frozen features: a classical learner is fitted to what is transformed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from keras_transfer.group import Count, Portion, Positive
from keras_transfer.methods.adaptation import Adaptation

if TYPE_CHECKING:
    from keras_transfer.domains.base import DomainEstimator

__all__ = [
    "CORAL",
    "JDA",
    "KLIEP",
    "KMM",
    "TCA",
    "DomainStandardization",
    "FeatureAdaptation",
    "SubspaceAlignment",
]

FILES_ONLY: dict[str, Any] = {"section": ""}
"""Of a setting that is no option of the command line, such as those that few people change."""


class FeatureAdaptation(Adaptation):
    """Transform frozen features, or weight the source's, before a learner is fitted to them.

    Attributes:
        weighs: Whether it weights source examples, instead of changing features.
        keeps_columns: Whether a transformed feature is still that of the same channel.
    """

    weighs: ClassVar[bool] = False
    keeps_columns: ClassVar[bool] = True

    def estimator(self) -> DomainEstimator:
        """The estimator of ``keras_transfer.domains``, with the settings of the method."""
        raise NotImplementedError


class _Projection(FeatureAdaptation):
    keeps_columns: ClassVar[bool] = False

    n_components: Count | None = Field(
        None, description="number of projections; None: as many as the method usually has"
    )


class _Component(_Projection):
    regularization: Positive = Field(
        0.1, description="of tca and jda, above 0; smaller: equal means of the domains count more"
    )


class TCA(_Component):
    """Transfer component analysis; see ``domains.tca.TCA``."""

    type: Literal["tca"] = "tca"

    def estimator(self) -> DomainEstimator:
        """``TCA``."""
        from keras_transfer.domains import tca

        return tca.TCA(self.n_components, regularization=self.regularization)


class JDA(_Component):
    """Joint distribution adaptation; see ``domains.tca.JDA``."""

    type: Literal["jda"] = "jda"
    max_iter: Count = Field(
        10, description="most assignments of classes", json_schema_extra=FILES_ONLY
    )

    def estimator(self) -> DomainEstimator:
        """``JDA``."""
        from keras_transfer.domains import tca

        return tca.JDA(
            self.n_components, regularization=self.regularization, max_iter=self.max_iter
        )


class CORAL(FeatureAdaptation):
    """Correlation alignment; see ``domains.subspaces.CORAL``."""

    type: Literal["coral"] = "coral"
    shrinkage: Literal["auto"] | Portion = Field(
        "auto", description="of covariances, for coral: auto, or from 0 to 1"
    )

    def estimator(self) -> DomainEstimator:
        """``CORAL``."""
        from keras_transfer.domains import subspaces

        return subspaces.CORAL(self.shrinkage)


class SubspaceAlignment(_Projection):
    """Subspace alignment; see ``domains.subspaces.SubspaceAlignment``."""

    type: Literal["subspace_alignment"] = "subspace_alignment"

    def estimator(self) -> DomainEstimator:
        """``SubspaceAlignment``."""
        from keras_transfer.domains import subspaces

        return subspaces.SubspaceAlignment(self.n_components)


class DomainStandardization(FeatureAdaptation):
    """Mean 0 and variance 1 in each domain; see ``domains.subspaces.PerDomainStandardization``."""

    type: Literal["domain_standardization"] = "domain_standardization"

    def estimator(self) -> DomainEstimator:
        """``PerDomainStandardization``."""
        from keras_transfer.domains import subspaces

        return subspaces.PerDomainStandardization()


class _Weights(FeatureAdaptation):
    weighs: ClassVar[bool] = True

    kernel_width: Positive | None = Field(
        None,
        description="of kmm and kliep, on standardised features; None: by their distances",
        json_schema_extra=FILES_ONLY,
    )


class KMM(_Weights):
    """Kernel mean matching; see ``domains.weighting.KMM``."""

    type: Literal["kmm"] = "kmm"
    max_weight: Annotated[float, Field(ge=1)] = Field(
        1000.0, description="greatest weight of an example", json_schema_extra=FILES_ONLY
    )

    def estimator(self) -> DomainEstimator:
        """``KMM``."""
        from keras_transfer.domains import weighting

        return weighting.KMM(self.kernel_width, bound=self.max_weight)


class KLIEP(_Weights):
    """Kullback-Leibler importance estimation; see ``domains.weighting.KLIEP``."""

    type: Literal["kliep"] = "kliep"

    def estimator(self) -> DomainEstimator:
        """``KLIEP``."""
        from keras_transfer.domains import weighting

        return weighting.KLIEP(None if self.kernel_width is None else [self.kernel_width])
