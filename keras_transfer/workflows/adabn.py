"""A network that was trained on the source, with statistics of the target.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from keras_transfer import runs
from keras_transfer.atomic import copy
from keras_transfer.data.batches import plain_batches
from keras_transfer.networks.keras_files import load_keras_weights
from keras_transfer.training.batch_norm import adapt_batch_norm
from keras_transfer.training.resume import save_model
from keras_transfer.workflows.adaptation import AdaptationRunner, check_same_split
from keras_transfer.workflows.adaptation_choice import choose

__all__ = ["AdaBNRunner"]

logger = logging.getLogger("keras_transfer")

BATCH = 128
"""Examples whose statistics are taken at once; see ``adapt_batch_norm``."""


class AdaBNRunner(AdaptationRunner):
    """Adapts the finished run without adaptation; takes the arguments of ``AdaptationRunner``."""

    def _stages(self) -> None:
        check_same_split(self.folder, self.baseline)
        plain = runs.Run(self.baseline)
        self._load()
        self._judge("source_only")
        loading = replace(self.setup.loading, batch_size=BATCH, replicas=1)
        batches = plain_batches(self.domain.samples, loading)
        count = adapt_batch_norm(self.network.predictor, batches)
        logger.info(
            "Statistics of %s batch normalizations are those of %s target examples",
            *(count, len(self.domain.samples)),
        )
        save_model(self.folder / "last.keras", self.network.predictor)
        self._judge("adapted")
        self.kept = choose(self.method, self.values)
        if self.kept == "source_only":
            self._load()
        save_model(self.folder / "best.keras", self.network.predictor)
        self._renew()
        # No epochs but those of the model that was adapted.
        self.trainer.done["parameters"] = plain.metadata["parameters"]
        copy(self.baseline / "history.csv", self.folder / "history.csv")

    def _load(self) -> None:
        load_keras_weights(self.network.predictor, self.baseline / "best.keras")
