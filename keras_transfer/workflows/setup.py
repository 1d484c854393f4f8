"""What the stages of a run share.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from keras_transfer.data.batches import Loading
from keras_transfer.data.lengths import GroupedByLength, padding_share, token_counts
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Sampling
from keras_transfer.features.extractor import EngineConfig
from keras_transfer.networks.network import Network
from keras_transfer.workflows.targets import Targets

__all__ = ["Setup"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class Setup:
    """Shared setup of a run's stages.

    Attributes:
        network: The network to train; at the end its model holds the best weights.
        samples: With all their splits.
        loading: Settings of batch loading.
        targets: Training targets.
        engine: Settings of feature extraction; None: the full network runs in every epoch.
        backbone: Name of the network, for messages.
        batch_norm: "frozen" or "train".
        monitor: Metric that chooses the best epoch.
        seed: The recipe's.
        view_seed: Seed of augmented views whose features are kept.
        precision: Of training steps: "auto", "float32", "mixed_bfloat16" or "mixed_float16".
    """

    network: Network
    samples: Samples
    loading: Loading
    targets: Targets
    engine: EngineConfig | None
    backbone: str
    batch_norm: Literal["frozen", "train"]
    monitor: str
    seed: int
    view_seed: int
    precision: str = "float32"

    @cached_property
    def train(self) -> Samples:
        """The train split."""
        return self.samples.split("train")

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return self.loading.steps(self.targets.strategy.length)

    @cached_property
    def grouped(self) -> GroupedByLength | None:
        """Draws batches of texts of similar length; None where the setting is off, or for images.

        Methods and samplings that say what a batch holds keep their batches.
        """
        within = self.targets.strategy.sampling
        if not (self.loading.input.groups and _is_free(within)):
            return None
        lengths = token_counts(self.train, self.loading)
        grouped = GroupedByLength(lengths, self.loading.batch_size, within)
        order, _ = grouped.draw(0, 0)
        shares = (padding_share(lengths[order], self.loading.batch_size), self._plain(lengths))
        logger.info(
            "Batches of similar length: padding is %.0f %% of all positions, not %.0f %%",
            *(100 * share for share in shares),
        )
        return grouped

    def _plain(self, lengths: np.ndarray) -> float:
        """Share of padding where every text is padded to the length of the input."""
        return 1 - float(lengths.mean()) / self.loading.input.settings.length


def _is_free(sampling: Sampling | None) -> bool:
    """Whether a sampling leaves open which examples come in one batch."""
    return sampling is None or (type(sampling) is Sampling and not sampling.even)
