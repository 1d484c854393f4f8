"""Twins and label errors on real photos, by real weights."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.label_errors import flipped
from keras_transfer import Classify
from keras_transfer.config.groups import Backbone
from keras_transfer.workflows.frozen_features import extracted
from keras_transfer.workflows.label_check import check_labels
from keras_transfer.workflows.twin_check import TwinCheck

pytestmark = pytest.mark.real_data


def features_of(name, data, weights):
    """All examples of a data set, and MobileNetV2's features of them."""
    file = weights / "mobilenet_v2_1.0_224_no_top.weights.h5"
    recipe = Classify(
        data=str(data / name),
        backbone=Backbone("mobilenet_v2", weights=str(file)),
        engine_error=0.01,  # float32, whatever the machine
    )
    return extracted(recipe, recipe.data.source)


def test_photos_of_one_thing_in_two_splits_of_trashnet(shared_data, shared_weights):
    """18 of 505 test images on one machine; all pairs of the same class."""
    found = features_of("trashnet", shared_data, shared_weights)
    checked = TwinCheck(found.samples, found.values).document

    assert checked["threshold"] == pytest.approx(0.9, abs=0.005)
    assert 16 <= checked["test_with_twin_in_train"] <= 20
    assert checked["different_labels"] == 0


def test_flipped_labels_of_cats_and_dogs(shared_data, shared_weights):
    """The first half of as many as were flipped, by three seeds."""
    found = features_of("cats_dogs", shared_data, shared_weights)
    where = found.samples.splits == "train"
    samples, values = found.samples.take(where), found.values[where]
    for seed in range(3):
        rows, labels = flipped(samples.labels, 2, 0.05, seed)
        listed = check_labels(replace(samples, labels=labels), values, seed).found.rows
        assert np.isin(listed[: len(rows) // 2], rows).mean() >= 0.8
        assert np.isin(rows, listed).mean() >= 0.6
