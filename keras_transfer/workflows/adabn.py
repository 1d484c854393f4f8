"""A network with batch statistics of the source in training, and of the target afterwards.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from keras_transfer.data.batches import plain_batches
from keras_transfer.data.samples import Samples
from keras_transfer.networks.keras_files import load_keras_weights
from keras_transfer.training.batch_norm import adapt_batch_norm
from keras_transfer.training.resume import save_model
from keras_transfer.workflows.adaptation import AdaptationRunner, check_same_split
from keras_transfer.workflows.adaptation_choice import choose
from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["AdaBNRunner"]

logger = logging.getLogger("keras_transfer")

BATCH = 128
"""Examples whose statistics are taken at once; see ``adapt_batch_norm``."""


class AdaBNRunner(AdaptationRunner):
    """Trains on the source, and adapts the result; takes the arguments of ``AdaptationRunner``."""

    def _stages(self) -> None:
        check_same_split(self.folder, self.baseline)
        # From the pretrained weights, also in a run that was resumed.
        self._take_statistics(self.setup.train, "source")
        StageRunner._stages(self)
        self._take_statistics(self.domain.samples, "target")
        save_model(self.folder / "last.keras", self.network.predictor)
        self._judge("adapted")
        load_keras_weights(self.network.predictor, self.baseline / "best.keras")
        self._judge("source_only")
        self.choice = choose(self.method, self.values)
        if self.choice.kept == "adapted":
            load_keras_weights(self.network.predictor, self.folder / "last.keras")
        save_model(self.folder / "best.keras", self.network.predictor)
        self._renew()

    def _take_statistics(self, samples: Samples, domain: str) -> None:
        loading = replace(self.setup.loading, batch_size=BATCH, replicas=1)
        # Folders come class by class, and a batch of one class has statistics of its own.
        order = np.random.default_rng([self.setup.seed, *b"batches"]).permutation(len(samples))
        batches = plain_batches(samples.take(order), loading)
        count = adapt_batch_norm(self.network.predictor, batches)
        logger.info(
            "Statistics of %s batch normalizations are those of %s %s examples",
            *(count, len(samples), domain),
        )
