"""Boosted trees on the features of the pretrained backbone: a baseline for the network.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.data.copies import families
from keras_transfer.data.samples import Samples
from keras_transfer.errors import CheckFailed
from keras_transfer.evaluation.metrics import classification_metrics
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.store import Table
from keras_transfer.learners.boosting import boosted
from keras_transfer.workflows.extractors import all_rows
from keras_transfer.workflows.imbalance import ImbalanceStrategy

__all__ = ["BoostedTrees"]

logger = logging.getLogger("keras_transfer")


class BoostedTrees:
    """Trees on features of clean images by the pretrained backbone before fine-tuning.

    The features are computed at once, before anything trains.

    Args:
        extractor: Of the pretrained backbone, frozen completely.
        samples: With all their splits.
        strategy: Weights of the classes.
        flattened: Shape of a feature map that the head flattens, whose mean the trees take; None
            where the head pools it.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        samples: Samples,
        strategy: ImbalanceStrategy,
        flattened: tuple[int, ...] | None = None,
    ):
        self.samples, self.strategy, self.flattened = samples, strategy, flattened
        # Computed here, since fine-tuning changes the backbone later.
        self.tables = {
            name: extractor.table(samples.split(name)) for name in ("train", "val", "test")
        }

    def metrics(self, seed: int) -> dict[str, Any]:
        """Metrics on the test split; {"error": ...} where there was no room for the features.

        Args:
            seed: The recipe's.
        """
        try:
            probabilities = self._probabilities(seed)
        except CheckFailed as error:  # the run itself is done and must not be lost
            logger.warning("Warning: boosted_trees failed. %s", error)
            return {"error": str(error)}
        test, counts = self.samples.split("test"), self.samples.split("train").counts()
        return classification_metrics(
            test.labels, probabilities, test.classes, counts, families(test.digests)
        )

    def _probabilities(self, seed: int) -> np.ndarray:
        began = time.perf_counter()
        train, val = (self.samples.split(name) for name in ("train", "val"))
        features = {name: self._pooled(table) for name, table in self.tables.items()}
        booster, trees = boosted(
            (features["train"], train.labels, self.strategy.example_weights(train)),
            (features["val"], val.labels),
            features["test"],
            classes=len(train.classes),
            seed=seeds.stream(seed, "members"),
        )
        seconds = time.perf_counter() - began
        logger.info("Boosted trees: %s rounds, chosen on val (%.1f s)", trees, seconds)
        return booster

    def _pooled(self, table: Table | None) -> np.ndarray:
        """(n, channels) float32: what the head pools; the mean where it flattens the map."""
        features = all_rows(table)
        # The flattened map of VGG16 has 25,088 columns; its mean has 512.
        if self.flattened is not None:
            features = features.reshape((-1, *self.flattened)).mean(axis=(1, 2))
        return features.reshape(len(features), -1)
