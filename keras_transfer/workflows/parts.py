"""The backbones of a run that joins the features of several, and their extractors.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.config.groups import Backbone
from keras_transfer.data.samples import Samples
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.views import CLEAN, View
from keras_transfer.networks.backbones import BACKBONES
from keras_transfer.workflows.candidates import label
from keras_transfer.workflows.extractors import all_rows
from keras_transfer.workflows.feature_cuts import feature_cut
from keras_transfer.workflows.stage_runner import Setup

__all__ = ["Part", "blocks_of", "part_of", "preprocessing_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """One backbone and its features.

    Attributes:
        name: For tables: ``mobilenet_v2 alpha=0.35``.
        network: The backbone.
        preprocessing: Its row of ``PREPROCESSINGS``.
        extractor: Of its pooled features.
    """

    name: str
    network: keras.Model
    preprocessing: str
    extractor: FeatureExtractor

    @property
    def channels(self) -> int:
        """Number of pooled features."""
        return int(np.prod(self.extractor.shape))

    def features(self, samples: Samples, view: View = CLEAN) -> np.ndarray:
        """(n, channels) float32, from the cache as far as they are there.

        Raises:
            CheckFailed: There is no room for them.
        """
        rows = all_rows(self.extractor.table(samples, view))
        return rows.reshape(len(samples), -1)


def part_of(backbone: Backbone, network: keras.Model, pooling: str, setup: Setup) -> Part:
    """A further backbone of a run.

    Args:
        backbone: Its settings.
        network: As ``building.build`` makes it.
        pooling: That of the head.
        setup: Of the run.
    """
    cut = feature_cut(network, backbone, pooling)
    assert setup.engine is not None  # refused without an engine
    extractor = FeatureExtractor(
        cut, setup.loading, setup.train, setup.engine, backbone=backbone.name
    )
    return Part(label(backbone), network, preprocessing_of(backbone), extractor)


def preprocessing_of(backbone: Backbone) -> str:
    """The row of ``PREPROCESSINGS`` of a network for images."""
    return backbone.preprocessing or BACKBONES[backbone.name].preprocessing


def blocks_of(parts: Sequence[Part]) -> list[slice]:
    """The columns of each part in their joined features."""
    ends = np.cumsum([part.channels for part in parts])
    return [slice(end - part.channels, end) for end, part in zip(ends, parts, strict=True)]
