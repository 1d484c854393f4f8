"""Class weights: scikit-learn's, or the user's by class name, and never a class forgotten."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from keras_transfer.data.balance import choose_strategy, class_weights, weight_table
from keras_transfer.errors import BadConfiguration, BadData, UnknownName

CLASSES = ("cat", "dog", "bird")


@given(st.lists(st.integers(1, 300), min_size=2, max_size=12))
def test_balanced_is_scikit_learns(counts):
    labels = np.arange(len(counts))
    expected = compute_class_weight("balanced", classes=labels, y=np.repeat(labels, counts))

    weights = class_weights("class_weight", [str(label) for label in labels], np.array(counts))

    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_balanced_worked_by_hand():
    """100 images in 3 classes: 100 / (3 * 60), 100 / (3 * 30), 100 / (3 * 10)."""
    weights = class_weights("class_weight", CLASSES, np.array([60, 30, 10]))

    assert weights == pytest.approx([0.55556, 1.11111, 3.33333], abs=1e-5)


def test_none_counts_every_image_once():
    assert class_weights("none", CLASSES, np.array([60, 30, 0])).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("counts", "chosen", "why"),
    [
        ([15, 10], "none", "1.5 times .* even enough"),
        ([16, 10], "class_weight", "1.6 times"),
        ([10, 200], "class_weight", "20.0 times"),
        ([10, 201], "balanced_batches", "20.1 times"),
    ],
)
def test_auto_looks_at_the_counts_and_says_why(counts, chosen, why):
    found, reason = choose_strategy("auto", np.array(counts))

    assert found == chosen
    assert re.search(why, reason)


def test_what_is_asked_for_is_done():
    assert choose_strategy("smote", np.array([1, 1]))[0] == "smote"


def test_effective_numbers_worked_by_hand():
    """E(1) = 1, E(2) = 1.999: weights 1 and 1/1.999, scaled to (1 w1 + 2 w2) / 3 = 1."""
    weights = class_weights("effective_number", CLASSES[:2], np.array([1, 2]))

    scale = 3 / (1 + 2 / 1.999)
    assert weights == pytest.approx([scale, scale / 1.999], rel=1e-5)


def test_weights_by_name_go_to_their_class_whatever_their_order():
    weights = class_weights({"bird": 3, "dog": np.float32(0.5), "cat": 0}, CLASSES, np.ones(3))

    assert weights.tolist() == [0, 0.5, 3]


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        (
            "clas_weight",
            UnknownName,
            "No weighting is called 'clas_weight'. Did you mean 'class_weight'",
        ),
        ({"cat": 1, "dgo": 1, "bird": 1}, UnknownName, "No class is called 'dgo'. .* 'dog'"),
        ({"cat": 1}, BadConfiguration, "names 1 of 3 classes; .*: dog, bird"),
        ({"cat": 1, "dog": -1, "bird": 1}, BadConfiguration, "at least 0; found {'dog': -1}"),
        ({"cat": 1, "dog": float("nan"), "bird": 1}, BadConfiguration, "found {'dog': nan}"),
        ({"cat": 1, "dog": float("inf"), "bird": 1}, BadConfiguration, "found {'dog': inf}"),
        ({"cat": 1, "dog": "2", "bird": 1}, BadConfiguration, "found {'dog': '2'}"),
        ({"cat": 0, "dog": 0, "bird": 0.0}, BadConfiguration, "0 for every class"),
    ],
)
def test_what_cannot_be_meant_is_refused(choice, error, message):
    with pytest.raises(error, match=message):
        class_weights(choice, CLASSES, np.array([10, 10, 10]))


@pytest.mark.parametrize("choice", ["class_weight", "effective_number"])
def test_a_class_without_images_cannot_be_balanced(choice):
    with pytest.raises(BadData, match="without training examples:\n  dog"):
        class_weights(choice, CLASSES, np.array([10, 0, 10]))


def test_the_table_for_the_log():
    table = weight_table(("cat", "guinea pig"), np.array([60, 5]), np.array([0.5417, 6.5]))

    assert table.splitlines() == [
        "class       examples  weight",
        "cat               60   0.542",
        "guinea pig         5   6.500",
    ]
