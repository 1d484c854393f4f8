"""JSON and tensors, by TensorFlow Serving's own examples and by laws."""

import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.payload import (
    classify_outputs,
    examples,
    parse,
    predict_inputs,
    predict_outputs,
)

FLOATS = {"x": tf.TensorSpec([None], tf.float32)}
ROWS = {"x": tf.TensorSpec([None, 1, 2], tf.float32)}
TEXT = {"x": tf.TensorSpec([None], tf.string)}
THREE = {
    "tag": tf.TensorSpec([None], tf.string),
    "signal": tf.TensorSpec([None, 5], tf.int32),
    "sensor": tf.TensorSpec([None, 2, 2], tf.int32),
}


def inputs(text, specs):
    found, rows = predict_inputs(parse(text.encode()), specs)
    return {name: one.tolist() for name, one in found.items()}, rows


@pytest.mark.parametrize(
    ("text", "specs", "wanted"),
    [
        ('{"instances": [1.0, 2.0, 5.0]}', FLOATS, {"x": [1, 2, 5]}),
        ('{"instances": [1, 2]}', FLOATS, {"x": [1, 2]}),
        ('{"instances": [ "foo", "bar", "baz" ]}', TEXT, {"x": [b"foo", b"bar", b"baz"]}),
        ('{"instances": [ [[1, 2]], [[3, 4]] ]}', ROWS, {"x": [[[1, 2]], [[3, 4]]]}),
        ('{"instances": [{"b64": "aW1hZ2UgYnl0ZXM="}]}', TEXT, {"x": [b"image bytes"]}),
        ('{"instances": [{"b64": "+/8="}]}', TEXT, {"x": [b"\xfb\xff"]}),
        ('{"instances": [{"x": {"b64": "aW1hZ2UgYnl0ZXM"}}]}', TEXT, {"x": [b"image bytes"]}),
        ('{"inputs": [1e3, -1]}', FLOATS, {"x": [1000, -1]}),
        ('{"inputs": {"x": ["a"]}}', TEXT, {"x": [b"a"]}),
        ('{"inputs": ["\\u00e4"]}', TEXT, {"x": ["ä".encode()]}),
        (
            '{"instances": [{"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},'
            ' {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]}]}',
            THREE,
            {
                "tag": [b"foo", b"bar"],
                "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
                "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
            },
        ),
    ],
)
def test_inputs_as_documented(text, specs, wanted):
    found, rows = inputs(text, specs)

    assert found == wanted
    assert rows == ("instances" in text)


def test_numbers_that_json_does_not_know():
    found, _ = predict_inputs(parse(b'{"instances": [NaN, Infinity, -Infinity]}'), FLOATS)

    assert np.isnan(found["x"][0])
    assert found["x"][1:].tolist() == [float("inf"), float("-inf")]


@pytest.mark.parametrize(
    ("text", "specs", "said"),
    [
        ("", FLOATS, "The document is empty"),
        ("{", FLOATS, "JSON Parse error"),
        ("[1]", FLOATS, "Is not object"),
        ('{"instances": [1], "inputs": [1]}', FLOATS, "only one of"),
        ("{}", FLOATS, "Missing 'inputs' or 'instances' key"),
        ('{"instances": 1}', FLOATS, "list/array"),
        ('{"instances": []}', FLOATS, "No values in 'instances' array"),
        ('{"instances": ["a"]}', FLOATS, "not of expected type: float"),
        ('{"instances": [true]}', FLOATS, "not of expected type: float"),
        ('{"instances": [null]}', FLOATS, "not of expected type: float"),
        ('{"instances": [[1], [2, 3]]}', FLOATS, "not even"),
        ('{"instances": [["a"], ["b", "c"]]}', TEXT, "unexpected size"),
        ('{"instances": [1]}', TEXT, "not of expected type: string"),
        ('{"instances": [{"b64": "%"}]}', TEXT, "Unable to base64 decode"),
        ('{"instances": [{"b64": "-_8="}]}', TEXT, "Unable to base64 decode"),  # URL-safe: 0xfbff
        ('{"instances": [{"b64": "YQ="}]}', TEXT, "Unable to base64 decode"),
        ('{"instances": [{"b64": "YQ==="}]}', TEXT, "Unable to base64 decode"),
        ('{"instances": [{"x": {"b64": 1}}]}', TEXT, "base64 data"),
        ('{"instances": [{"y": "a"}]}', TEXT, "keys must be equal to: x"),
        ('{"instances": [{"x": "a"}, "b"]}', TEXT, "element: 1"),
        ('{"instances": [1]}', THREE, "multiple input tensors"),
        ('{"inputs": {"tag": ["a"]}}', THREE, "Missing named input: signal"),
        ('{"inputs": {"x": ["a"], "z": 1}}', TEXT, "does not have named input: z"),
        ('{"instances": [1.5]}', {"x": tf.TensorSpec([None], tf.uint8)}, "expected type: uint8"),
        ('{"instances": [256]}', {"x": tf.TensorSpec([None], tf.uint8)}, r"0\.\.255"),
        ('{"instances": [-1]}', {"x": tf.TensorSpec([None], tf.uint8)}, r"0\.\.255"),
        ('{"instances": [[1, 2]]}', FLOATS, r"shape \(any\)"),
        ('{"instances": [' + "[" * 5000 + "]" * 5000 + "]}", TEXT, "JSON Parse error"),
        ('{"instances": [' + "9" * 5000 + "]}", FLOATS, "."),
        ('{"signature_name": 1, "instances": [1]}', FLOATS, "must be a string"),
        ('{"instances": ["\\ud800"]}', TEXT, "surrogate"),
    ],
)
def test_what_is_refused(text, specs, said):
    with pytest.raises(RequestError, match=said) as caught:
        inputs(text, specs)
    assert caught.value.code == "INVALID_ARGUMENT"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(["instances", "inputs", "signature_name", "examples", "context", "x"])


@pytest.mark.parametrize(
    "specs", [FLOATS, ROWS, TEXT, THREE], ids=["floats", "rows", "text", "three"]
)
@given(document=st.dictionaries(KEYS, JSON, max_size=3))
def test_whatever_comes_it_is_read_or_refused(specs, document):
    try:
        found, _ = predict_inputs(
            parse(json.dumps(document).encode("utf-8", "surrogatepass")), specs
        )
    except RequestError:
        return
    for name, spec in specs.items():
        assert spec.shape.is_compatible_with(found[name].shape)


@given(st.dictionaries(KEYS, JSON, max_size=3))
def test_whatever_comes_examples_are_read_or_refused(document):
    try:
        found = examples(document)
    except RequestError:
        return
    assert len(found) == len(document["examples"])


@given(st.binary(max_size=200))
def test_bytes_come_through_base64(content):
    text = base64.b64encode(content).decode()
    found, _ = inputs(json.dumps({"instances": [{"b64": text}]}), TEXT)

    assert found == {"x": [content]}


def test_rows_and_columns_of_outputs():
    outputs = {"b": np.array([[1, 2], [3, 4]]), "a": np.array([b"x", b"y"], object)}

    assert predict_outputs(outputs, rows=True) == {
        "predictions": [{"a": "x", "b": [1, 2]}, {"a": "y", "b": [3, 4]}]
    }
    assert predict_outputs(outputs, rows=False) == {
        "outputs": {"a": ["x", "y"], "b": [[1, 2], [3, 4]]}
    }
    assert predict_outputs({"b": outputs["b"]}, rows=True) == {"predictions": [[1, 2], [3, 4]]}
    assert predict_outputs({"b": outputs["b"]}, rows=False) == {"outputs": [[1, 2], [3, 4]]}


def test_floats_have_the_digits_that_tell_them_apart():
    """0.2 in float32 is 0.20000000298..., and is written 0.2."""
    found = predict_outputs({"x": np.array([0.2, 1e-20, np.nan], "float32")}, rows=True)

    assert json.dumps(found) == '{"predictions": [0.2, 1e-20, NaN]}'


def test_outputs_called_bytes_are_base64():
    found = predict_outputs({"image_bytes": np.array([b"image bytes"], object)}, rows=True)

    assert found == {"predictions": [{"b64": "aW1hZ2UgYnl0ZXM="}]}


def test_examples_share_their_context():
    document = {
        "context": {"caption": "sea"},
        "examples": [{"image": {"b64": "YQ=="}, "n": [1, 2]}, {"image": "b", "share": 0.5}],
    }
    first, second = examples(document)

    assert first.features.feature["caption"].bytes_list.value == [b"sea"]
    assert first.features.feature["image"].bytes_list.value == [b"a"]
    assert first.features.feature["n"].int64_list.value == [1, 2]
    assert second.features.feature["share"].float_list.value == [0.5]


def test_booleans_in_examples_are_ones_and_zeros():
    (found,) = examples({"examples": [{"flags": [True, False, 7], "one": True}]})

    assert found.features.feature["flags"].int64_list.value == [1, 0, 7]
    assert found.features.feature["one"].int64_list.value == [1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "Feature: x has element with unexpected JSON type: Null"),
        ([[1]], "Feature: x has element with unexpected JSON type: Array"),
        ({"b64": 1}, "Feature: x has element with unexpected JSON type: Object"),
        ([1, "a"], "Unexpected element type in feature: x expecting type: int64"),
        ([0.5, True], "Unexpected element type in feature: x expecting type: float"),
        (["a", 1], "Unexpected element type in feature: x expecting type: bytes"),
        ([2**63], "number that is too large"),
    ],
)
def test_features_that_are_refused(value, said):
    with pytest.raises(RequestError, match=said):
        examples({"examples": [{"x": value}]})


def test_classes_and_scores_are_pairs():
    outputs = {
        "classes": np.array([[b"dog", b"cat"]], object),
        "scores": np.array([[0.75, 0.25]], "float32"),
    }
    assert classify_outputs(outputs) == {"results": [[["dog", 0.75], ["cat", 0.25]]]}
