"""What a graph returns for an output: names of tensors, and finding the scores again."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.errors import BadData
from keras_transfer.exports.answers import TENSORS, Answers
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.outputs import Output
from keras_transfer.objectives.regression import Regression

CLASSES = Output(Classification(), ("cat", "dog", "fish"))
LABELS = Output(MultiLabel(), ("big", "old", "red"), {"thresholds": [0.5, 0.125, 0.75]})
VALUES = Output(Regression(columns=("width", "height")), ("width", "height"))
SCORES = np.array([[0.25, 0.5, 0.25], [0.7, 0.1, 0.2]], "float32")


def arrays(tensors):
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def test_a_classification_is_ranked_and_of_equal_classes_the_first_comes_first():
    served = arrays(Answers({"label": CLASSES}).served({"label": SCORES}))

    assert served["classes"].tolist() == [[b"dog", b"cat", b"fish"], [b"cat", b"fish", b"dog"]]
    np.testing.assert_array_equal(
        served["probabilities"], np.float32([[0.5, 0.25, 0.25], [0.7, 0.2, 0.1]])
    )
    np.testing.assert_array_equal(served["scores"], SCORES)
    assert set(served) == {"classes", "probabilities", "scores"}


def test_labels_are_ranked_and_decided_by_their_own_thresholds():
    """0.25 >= 0.5, 0.5 >= 0.125, 0.25 >= 0.75; 0.7 >= 0.5, 0.1 >= 0.125, 0.2 >= 0.75."""
    answers = Answers({"label": LABELS})
    served = arrays(answers.served({"label": SCORES}))

    assert served["labels"].tolist() == [[b"old", b"big", b"red"], [b"big", b"red", b"old"]]
    assert served["decided"].tolist() == [[True, False, False], [True, False, False]]
    by_unit = arrays(answers.by_unit({"label": SCORES}))
    assert by_unit["decided"].tolist() == [[False, True, False], [True, False, False]]
    np.testing.assert_array_equal(by_unit["probabilities"], SCORES)
    np.testing.assert_array_equal(served["scores"], SCORES)


def test_a_probability_on_its_threshold_is_decided_for_and_without_thresholds_at_one_half():
    edge = np.array([[0.5, 0.125, 0.7499]], "float32")
    assert arrays(Answers({"label": LABELS}).by_unit({"label": edge}))["decided"].tolist() == [
        [True, True, False]
    ]
    plain = Output(MultiLabel(), LABELS.names)
    assert arrays(Answers({"label": plain}).by_unit({"label": edge}))["decided"].tolist() == [
        [True, False, True]
    ]


def test_values_are_returned_as_they_are():
    values = np.array([[1.5, -2000.0]], "float32")
    answers = Answers({"label": VALUES})

    for found in (answers.served, answers.by_unit):
        assert {name: x.tolist() for name, x in arrays(found({"label": values})).items()} == {
            "values": [[1.5, -2000.0]]
        }


def test_tensors_of_several_outputs_begin_with_the_name_of_their_output():
    answers = Answers({"kind": CLASSES, "size": VALUES})
    scores = {"kind": SCORES, "size": np.ones((2, 2), "float32")}

    assert set(answers.served(scores)) == {
        "kind_classes", "kind_probabilities", "kind_scores", "size_values",
    }  # fmt: skip
    assert set(answers.by_unit(scores)) == {"kind_probabilities", "size_values"}
    assert set(answers.alone(scores)) == {"kind_scores", "size_values"}
    assert answers.classes is None
    assert Answers({"kind": CLASSES}).classes is None  # asked for by the name of its column


@pytest.mark.parametrize(
    ("names", "prefixes"),
    [
        (["label"], [""]),
        (["label", "price"], ["label_", "price_"]),
        (["price"], ["price_"]),
        (["price in €", "price in $"], ["price_in___", "price_in___2_"]),
        (["a.b", "a/b", "a_b", "a_b_2"], ["a_b_", "a_b_2_", "a_b_3_", "a_b_2_2_"]),
        (["2nd", "_x", "größe", "цвет"], ["output_2nd_", "output_x_", "gr__e_", "output_"]),
    ],
)
def test_names_that_no_tensor_can_have_are_changed(names, prefixes):
    found = Answers(dict.fromkeys(names, VALUES))

    assert [answer.prefix for answer in found] == prefixes


@given(st.lists(st.text(max_size=8), min_size=2, max_size=6, unique=True))
def test_every_tensor_has_a_valid_name_of_its_own(names):
    answers = Answers(dict.fromkeys(names, VALUES))
    tensors = [f"{answer.prefix}{word}" for answer in answers for word in TENSORS]

    assert len(set(tensors)) == len(tensors)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in tensors)


@pytest.mark.parametrize("layout", ["served", "by_unit", "alone"])
def test_scores_and_decisions_are_found_again_in_the_order_of_the_units(layout):
    answers = Answers({"kind": CLASSES, "traits": LABELS, "size": VALUES})
    scores = {"kind": SCORES, "traits": SCORES[:, ::-1], "size": SCORES[:, :2]}

    found = answers.read(arrays(getattr(answers, layout)(scores)))

    for name, wanted in scores.items():
        np.testing.assert_array_equal(found[name].scores, wanted.astype("float64"))
    assert found["kind"].decided is None
    if layout != "alone":  # 0.25 >= 0.5, 0.5 >= 0.125, 0.25 >= 0.75; 0.2, 0.1, 0.7
        assert found["traits"].decided.tolist() == [[False, True, False], [False, False, False]]


@pytest.mark.parametrize(
    "found",
    [{"values": np.ones((1, 2))}, {"a_probabilities": np.ones((1, 2))}, {}],
    ids=["another output", "another number of classes", "nothing"],
)
def test_scores_that_are_not_there_are_said(found):
    with pytest.raises(BadData, match="no scores of the output 'a'"):
        Answers({"a": CLASSES, "b": VALUES}).read(found)


def test_they_are_read_back_from_json_and_from_assets(tmp_path):
    outputs = {"price in €": VALUES, "traits": LABELS}
    answers = Answers(outputs)

    stored = json.loads(json.dumps(answers.to_json()))
    assert stored["price in €"]["prefix"] == "price_in___"
    answers.write_assets(tmp_path)
    for read in (Answers.from_json(stored), Answers.from_assets(tmp_path)):
        assert read.outputs == outputs
        assert [row.prefix for row in read] == ["price_in___", "traits_"]
    assert not (tmp_path / "classes.json").exists()


def test_assets_of_version_1_are_one_classification(tmp_path):
    (tmp_path / "classes.json").write_text('["cat", "dog"]')

    (answer,) = Answers.from_assets(tmp_path)
    assert (answer.output.names, answer.prefix) == (("cat", "dog"), "")
