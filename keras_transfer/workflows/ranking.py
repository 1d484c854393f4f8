"""Rank pretrained backbones on labelled images, without training any of them.

Imported when a ranking begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_transfer import seeds
from keras_transfer.config.groups import Backbone
from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.copies import related
from keras_transfer.data.samples import Samples
from keras_transfer.domains import transferability
from keras_transfer.errors import BadData
from keras_transfer.features.batches import given
from keras_transfer.features.extractor import EngineConfig, FeatureExtractor
from keras_transfer.inputs.image import Image
from keras_transfer.learners.linear_probe import Probe, linear_probe
from keras_transfer.networks.weights import load_source_classifier
from keras_transfer.workflows.building import build
from keras_transfer.workflows.candidates import label
from keras_transfer.workflows.extractors import all_rows
from keras_transfer.workflows.feature_cuts import feature_cut

__all__ = ["Measured", "Sample", "feature_extractor", "measure"]

TIMED = 64
"""Images by which the speed is measured."""

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class Sample:
    """The examples on which backbones are compared, and how their features are computed.

    Attributes:
        train: A class-balanced sample of the train split.
        given: Settings of the input.
        engine: Settings of feature extraction.
        batch_size: Images in a batch.
        seed: Of the folds.
    """

    train: Samples
    given: Image
    engine: EngineConfig
    batch_size: int
    seed: int

    @property
    def families(self) -> np.ndarray:
        """(n,) int32: copies of an image, and images of one group, have the same number."""
        return related(self.train.digests, self.train.groups)


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of one backbone.

    Attributes:
        backbone: Its settings.
        probe: Cross-validated predictions of a linear probe.
        scores: Transferability by name; None where it needs a classifier that is not there.
        images_per_second: Of feature extraction, from raw images to features.
        parameters: Number of parameters, without top.
        seconds: What it took.
    """

    backbone: Backbone
    probe: Probe
    scores: dict[str, float | None]
    images_per_second: float
    parameters: int
    seconds: float

    @property
    def megabytes(self) -> float:
        """Estimated size of an export in float32: four bytes for each parameter."""
        return 4 * self.parameters / 1e6


def measure(backbone: Backbone, sample: Sample) -> Measured:
    """Compute features of the sample, which are kept in the cache, and score them.

    Raises:
        BadWeights: The weights do not fit.
        CheckFailed: There is no room for the features.
    """
    began = time.perf_counter()
    network = build(backbone, sample.given, (), backbone.weights, None)
    extractor = feature_extractor(network, backbone, sample)
    features = all_rows(extractor.table(sample.train)).astype("float64")
    if not np.isfinite(features).all():
        raise BadData(f"{label(backbone)} gives features that are infinite or NaN.")
    labels, source = sample.train.labels, _source_probabilities(backbone, network, features)
    scores = {
        "log_me": transferability.log_me(features, labels),
        "h_score": transferability.h_score(features, labels),
        "regularized_h_score": transferability.regularized_h_score(features, labels),
        "leep": None if source is None else transferability.leep(source, labels),
        "nce": None if source is None else transferability.nce(source, labels),
    }
    probe = linear_probe(
        features, labels, sample.families, seed=seeds.stream(sample.seed, "members")
    )
    rate = _images_per_second(extractor, sample.train)
    seconds = time.perf_counter() - began
    return Measured(backbone, probe, scores, rate, network.count_params(), seconds)


def feature_extractor(network: keras.Model, backbone: Backbone, sample: Sample) -> FeatureExtractor:
    """The extractor that a run with a head on mean features has too: they share the cache.

    Args:
        network: As ``building.build`` makes it.
        backbone: Its settings.
        sample: How images are prepared and run.
    """
    cut = feature_cut(network, backbone)
    bound = sample.given.bind(None, network.input_shape[1])
    loading = Loading(bound, sample.batch_size)
    return FeatureExtractor(cut, loading, sample.train, sample.engine, backbone=backbone.name)


def _source_probabilities(
    backbone: Backbone, network: keras.Model, features: np.ndarray
) -> np.ndarray | None:
    """(n, source classes) by the classifier in the weights file; None where there is none."""
    if not Path(backbone.weights).expanduser().is_file():
        return None
    found = load_source_classifier(backbone.weights, network, name=backbone.name)
    return None if found is None else found.probabilities(features)


def _images_per_second(extractor: FeatureExtractor, samples: Samples) -> float:
    """Of the warm engine, with reading and decoding: the better of two rounds of a few images."""
    places = np.unique(np.linspace(0, len(samples) - 1, TIMED).astype(int))
    few, engine = samples.take(places), extractor.whole.engine()
    names, rates = extractor.cut.inputs, []
    for _ in range(2):  # other load on the machine only slows
        began = time.perf_counter()
        batches = plain_batches(few, extractor.loading).as_numpy_iterator()
        count = sum(len(features) for features in engine(given(batch, names) for batch in batches))
        rates.append(count / (time.perf_counter() - began))
    return max(rates)
