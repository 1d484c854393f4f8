"""Training targets of two domains: labels of the source, and domain numbers of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_transfer.config.groups import Batches
from keras_transfer.data.domain_sampling import DomainSampling
from keras_transfer.data.joined import join
from keras_transfer.data.samples import Samples
from keras_transfer.features.stage_batches import Split
from keras_transfer.methods.base import ExtraTerm
from keras_transfer.objectives.base import Objective
from keras_transfer.workflows.adaptation_domain import TargetDomain
from keras_transfer.workflows.imbalance import ImbalanceStrategy
from keras_transfer.workflows.targets import Targets

__all__ = ["AdaptedTargets", "SourceTargets"]


class SourceTargets(Targets):
    """Targets of the source alone, for a method that takes no target examples in training.

    Attributes:
        domain: The target domain.
    """

    domain: TargetDomain


class AdaptedTargets(Targets):
    """Targets of batches of both domains.

    The label of a target example has the weight 0, unless it is one whose label is used.

    Args:
        objectives: A single classification.
        train: The train split of the source.
        batches: Their size.
        strategy: Strategy for class imbalance in the source.
        extra: Terms of the method.
        domain: The target domain.
        given: Prepares examples.
    """

    def __init__(
        self,
        objectives: Mapping[str, Objective],
        train: Samples,
        batches: Batches,
        strategy: ImbalanceStrategy,
        extra: Sequence[ExtraTerm],
        domain: TargetDomain,
        given: Any,
    ):
        self.domain = domain
        size, target = batches.batch_size, domain.samples
        sampling = DomainSampling(len(train), len(target), size, domain.labelled, strategy.sampling)
        both = replace(strategy, sampling=sampling, length=len(sampling))
        super().__init__(objectives, train, batches, both, extra)
        used = np.zeros(len(target), "float32")
        used[domain.labelled] = 1
        # No label of the target gets any further but those that are used.
        labels = np.where(used > 0, target.labels, 0).astype("int32")
        joint = join(train, replace(target, weights=used, labels=labels), given)
        # The loss of a batch is a mean over all of its examples.
        weights = (joint.weights / sampling.labelled_share).astype("float32")
        self.rows = replace(joint, weights=weights)

    def labelled(self) -> Split:
        """The train split of the source with its labels."""
        return Split.labelled(self._train)

    def _extra_weights(self, samples: Samples) -> np.ndarray:
        return np.ones(len(samples), "float32")
