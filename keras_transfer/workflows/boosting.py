"""Boosted trees on the features of the pretrained backbone, to stand beside the network's metrics.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.data.balance import class_weights
from keras_transfer.data.copies import families
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import SAMPLINGS
from keras_transfer.errors import CheckFailed
from keras_transfer.evaluation.metrics import classification_metrics
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.stage_batches import Feed
from keras_transfer.features.store import Table
from keras_transfer.learners.boosting import boosted
from keras_transfer.networks.cutting import cut_network
from keras_transfer.networks.freezing import freeze
from keras_transfer.workflows.ensembles import FROZEN
from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["Boosting"]

logger = logging.getLogger("keras_transfer")

Tables = dict[str, Table | None]


class Boosting(StageRunner):
    """A classifier in training; beside it trees learn from the features it starts with.

    They see the clean images by way of the pretrained backbone, whatever is tuned later. So the
    features are asked for before anything trains. Takes the arguments of ``StageRunner``.
    """

    tables: Tables

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Metrics of the trees; or an "error" where the features found no room."""
        try:
            found = self._probabilities()
        except CheckFailed as error:  # the run itself is done, and must not be lost by this
            logger.warning("Warning: boosting failed. %s", error)
            return {"boosting": {"error": str(error)}}
        test, counts = self.samples.split("test"), self.train.counts()
        return {
            "boosting": classification_metrics(
                test.labels, found, test.classes, counts, families(test.digests)
            )
        }

    def _stages(self) -> None:
        if self.recipe.planned[0].unfreeze not in FROZEN:
            self.tables = self._tables(self._pretrained())
        super()._stages()

    def _feed(self, index: int, split: FeatureExtractor | None) -> Feed:
        if index == 0 and split is not None and self.recipe.planned[0].unfreeze in FROZEN:
            self.tables = self._tables(split)
        return super()._feed(index, split)

    def _pretrained(self) -> FeatureExtractor:
        """The whole backbone as it is now, where no stage leaves it so."""
        freeze(self.backbone, None, self.recipe.batch_norm)
        cut = cut_network(self.model)
        assert cut is not None  # the whole backbone lies before the cut
        name = self.recipe.backbone
        return FeatureExtractor(cut, self.loading, self.train, self.means, backbone=name)

    def _tables(self, split: FeatureExtractor) -> Tables:
        return {name: split.table(self.samples.split(name)) for name in ("train", "val", "test")}

    def _probabilities(self) -> np.ndarray:
        began = time.perf_counter()
        train, val = (self.samples.split(name) for name in ("train", "val"))
        features = {name: self._pooled(table) for name, table in self.tables.items()}
        found, trees = boosted(
            (features["train"], train.labels, self._weights(train)),
            (features["val"], val.labels),
            features["test"],
            classes=len(train.classes),
            seed=seeds.stream(self.recipe.seed, "members"),
        )
        seconds = time.perf_counter() - began
        logger.info("Boosting: %s rounds, as val chooses (%.1f s)", trees, seconds)
        return found

    def _pooled(self, table: Table | None) -> np.ndarray:
        """(n, channels) float32: what the head pools; the average where it takes every place."""
        if table is None:
            raise CheckFailed("There is no room for the features. Raise KT_CACHE_GB.")
        features = table.take(np.arange(len(table)))
        if self.recipe.head.pooling == "flatten":
            places = (-1, *self.backbone.output_shape[1:])
            features = features.reshape(places).mean(axis=(1, 2))
        return features.reshape(len(table), -1)

    def _weights(self, train: Samples) -> np.ndarray:
        """(n,) float32; classes that an epoch would draw equally often weigh the same instead."""
        of_class = self.balancing.weights
        if self.balancing.name in (*SAMPLINGS, "smote"):
            of_class = class_weights("class_weight", train.classes, train.counts())
        return train.weights * of_class[train.labels]
