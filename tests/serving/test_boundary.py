"""Every exception of a request becomes a status and a text of ours, on REST and gRPC."""

import base64
import json
import logging
import shutil

import grpc
import numpy as np
import pytest
import tensorflow as tf
from starlette.testclient import TestClient
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_transfer.serving.grpc_api import build_grpc
from keras_transfer.serving.messages import foreign, shown
from keras_transfer.serving.rest import build_app

PREDICT = "/v1/models/colours:predict"
CLASSIFY = "/v1/models/colours:classify"
JSON = {"Content-Type": "application/json"}
WORD = "q" * 5000


def nested(depth, value="1"):
    return "[" * depth + value + "]" * depth


@pytest.fixture(scope="module")
def client(service, odd):
    with TestClient(build_app(service, examples=odd[0].parent)) as client:
        yield client


@pytest.fixture(scope="module")
def port(service):
    server, port = build_grpc(service, "127.0.0.1:0")
    server.start()
    yield port
    server.stop(None)


@pytest.fixture(scope="module")
def channel(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.mark.parametrize("signature", ["serving_default", "forward"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((f'"instances": {nested(depth)}', "") for depth in (33, 64, 65, 66, 500, 5000)),
        *((f'"inputs": {nested(depth, "")}', "") for depth in (1, 2, 33, 65, 300)),
        (f'"inputs": [1, {nested(70)}]', ""),
        ('"inputs": []', ""),
        ('"instances": [[]]', ""),
        ('"instances": [1e400, 1]', ""),
        (f'"instances": [{"9" * 400}]', ""),
        (f'"instances": [{"9" * 5000}]', ""),
        (f'"instances": [-{"9" * 30}, 1.5]', ""),
        ('"instances": [true, 1]', ""),
        ('"instances": [null]', ""),
        ('"instances": [{}]', ""),
        ('"instances": ["\\ud800"]', "surrogate"),
        ('"instances": [1], "instances": [2]', '"instances" stands twice'),
        ('"instances": [{"a": 1, "a": 2}]', '"a" stands twice'),
    ],
)
def test_json_that_is_no_tensor(client, signature, text, said):
    body = f'{{"signature_name": "{signature}", {text}}}'

    found = client.post(PREDICT, content=body, headers=JSON)

    assert found.status_code == 400, found.text
    error = found.json()["error"]
    assert said in error
    assert not any(word in error for word in ("Error:", "numpy", "ndarray", "object has no"))


def test_an_empty_list_has_no_examples(client):
    found = client.post(PREDICT, json={"inputs": []})

    assert found.json() == {"error": "The request has no examples; send at least one"}


def test_strings_where_numbers_should_be_cost_no_more_than_they_are(client):
    """As an array of numpy they would take 4 bytes times the longest times their number: 40 GB."""
    values = ["x" * 100_000, *[""] * 100_000]

    document = {"signature_name": "forward", "instances": values}
    found = client.post(PREDICT, content=json.dumps(document).encode(), headers=JSON)

    assert found.status_code == 413 or "not of expected type: float" in found.json()["error"]


@pytest.mark.parametrize("body", [b"", b"\x1f\x8b\x08\0\0", b"\xff", b"nul", b'{"a":', b"\0" * 50])
def test_bodies_that_are_no_json(client, body):
    found = client.post(PREDICT, content=body, headers=JSON)

    assert (found.status_code, found.json()["error"][:16]) == (400, "JSON Parse error")
    assert "codec" not in found.json()["error"]


def test_values_are_counted_before_they_are_read(make_service, saved):
    client = TestClient(build_app(make_service(saved.folder.parent)))

    found = client.post(
        PREDICT, content=b'{"instances": [' + b"1," * 4_000_000 + b"1]}", headers=JSON
    )

    assert (found.status_code, "4,000,000 values" in found.text) == (413, True)


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("POST", PREDICT, {"signature_name": WORD, "instances": [1]}),
        ("POST", PREDICT, {"instances": [{WORD: 1}]}),
        ("POST", PREDICT, {"inputs": {WORD: 1, "image_bytes": [""]}}),
        ("POST", PREDICT, {"instances": [{"b64": WORD, "x": WORD}]}),
        ("POST", PREDICT, {"signature_name": "forward", "instances": [WORD]}),
        ("POST", PREDICT, {"signature_name": "predict_pixels", "instances": [WORD]}),
        ("POST", PREDICT, [WORD]),
        ("POST", CLASSIFY, {"signature_name": "classify", "examples": [{WORD: None}]}),
        ("POST", CLASSIFY, {"signature_name": "classify", "examples": [{WORD: 10**30}]}),
        ("POST", f"/v1/models/{WORD}:predict", {"instances": [1]}),
        ("POST", f"/v1/models/colours/labels/{WORD}:predict", {"instances": [1]}),
        ("POST", f"/v1/{WORD}", {}),
        ("GET", f"/v1/models/{WORD}", None),
        ("GET", f"/v1/models/{WORD}/metadata", None),
        ("GET", f"/v1/{WORD}", None),
        ("GET", f"/{WORD}", None),
        ("GET", f"/page/examples/{WORD}", None),
    ],
)
def test_little_of_the_input_is_repeated(client, method, path, document):
    found = client.request(method, path, json=document)

    assert 400 <= found.status_code < 500
    assert 0 < len(found.json()["error"]) <= 503
    assert "q" * 101 not in found.text


def test_an_unforeseen_exception_has_a_text_of_ours_and_its_traceback_in_the_log(
    make_service, saved, images, caplog
):
    service = make_service(saved.folder.parent)

    def broken(signature, inputs):
        raise KeyError("/home/somebody/secret")

    service.versions.get("colours").run = broken
    document = {"instances": [{"b64": base64.b64encode(images.contents[0]).decode()}]}
    with caplog.at_level(logging.ERROR, "keras_transfer"):
        found = TestClient(build_app(service)).post(PREDICT, json=document)

    text = "The server failed at this request; its log says why"
    assert (found.status_code, found.json()) == (500, {"error": text})
    assert "KeyError: '/home/somebody/secret'" in caplog.text


def test_a_version_that_cannot_be_loaded_does_not_say_where_it_lies(make_service, saved, tmp_path):
    shutil.copytree(saved.folder, tmp_path / "colours" / "1")
    (tmp_path / "colours" / "2").mkdir()
    (tmp_path / "colours" / "2" / "saved_model.pb").write_bytes(b"broken")
    client = TestClient(build_app(make_service(tmp_path / "colours")))

    first, _ = client.get("/v1/models/colours").json()["model_version_status"]

    assert (first["version"], first["state"]) == ("2", "END")
    assert "cannot be served" in first["status"]["error_message"]
    assert str(tmp_path) not in first["status"]["error_message"]


def test_version_folders_above_int64_are_no_versions(make_service, saved, tmp_path):
    for name in ("1", str(2**63), "9" * 30):
        shutil.copytree(saved.folder, tmp_path / "colours" / name)
    service = make_service(tmp_path / "colours")
    server, port = build_grpc(service, "127.0.0.1:0")
    server.start()
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "colours"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        found = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked)
    server.stop(None)

    assert [one.version for one in found.model_version_status] == [1]
    for version in (2**63 - 1, 2**63, 10**18):
        found = TestClient(build_app(service)).get(f"/v1/models/colours/versions/{version}")
        assert found.status_code == 404


def test_file_names_that_are_not_utf8_are_left_out_of_the_examples(service, odd, tmp_path, caplog):
    shutil.copy(odd[0], tmp_path / f"good{odd[0].suffix}")
    bad = tmp_path / ("b\udcff" + odd[0].suffix)
    shutil.copy(odd[0], bad)
    client = TestClient(build_app(service, examples=tmp_path))

    found = client.get("/page/about.json")

    assert found.status_code == 200
    assert found.json()["examples"] == [f"good{odd[0].suffix}"]
    assert "is not UTF-8" in caplog.text


def tensor(dtype, shape, **values):
    found = tf.make_tensor_proto(0.0)
    found.Clear()
    found.dtype = dtype.as_datatype_enum
    for side in shape:
        found.tensor_shape.dim.add(size=side)
    for name, value in values.items():
        if isinstance(value, bytes):
            setattr(found, name, value)
        else:
            getattr(found, name).extend(value)
    return found


TENSORS = {
    "uint8 of -1": ("predict_pixels", tensor(tf.uint8, [1, 1, 1, 3], int_val=[-1] * 3)),
    "uint8 of 256": ("predict_pixels", tensor(tf.uint8, [1, 1, 1, 3], int_val=[256] * 3)),
    "negative side": ("forward", tensor(tf.float32, [-1, 16, 16, 3], float_val=[0.0])),
    "least side": ("forward", tensor(tf.float32, [-(2**63), 16, 16, 3], float_val=[0.0])),
    "overflow": ("forward", tensor(tf.float32, [2**40, 2**40, 2**40], float_val=[0.0])),
    "times zero": ("forward", tensor(tf.float32, [0, 2**62, 2**62, 3])),
    "no rows": ("forward", tensor(tf.float32, [0, 16, 16, 3])),
    "many axes": ("forward", tensor(tf.float32, [1] * 300, float_val=[0.0])),
    "content too short": ("forward", tensor(tf.float32, [1, 16, 16, 3], tensor_content=b"x")),
    "content odd": ("forward", tensor(tf.float32, [1, 16, 16, 3], tensor_content=b"x" * 3073)),
    "no dtype": ("forward", tensor(tf.float32, [1, 16, 16, 3])),
    "resource": ("forward", tensor(tf.resource, [1])),
    "variant": ("forward", tensor(tf.variant, [1])),
    "bfloat16": ("forward", tensor(tf.bfloat16, [1, 16, 16, 3], half_val=[1])),
    "string content": ("serving_default", tensor(tf.string, [1], tensor_content=b"x")),
    "scalar string": ("serving_default", tensor(tf.string, [], string_val=[b"x"])),
    "no strings": ("serving_default", tensor(tf.string, [1])),
    "too many strings": ("serving_default", tensor(tf.string, [1], string_val=[b"x"] * 5)),
}
TENSORS["no dtype"][1].dtype = 0


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_lie(stub, name):
    asked = predict_pb2.PredictRequest()
    signature, value = TENSORS[name]
    asked.model_spec.name, asked.model_spec.signature_name = "colours", signature
    names = {"forward": "pixels", "predict_pixels": "pixels"}
    asked.inputs[names.get(signature, "image_bytes")].CopyFrom(value)

    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(asked)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(caught.value.details()) <= 503
    assert not any(word in caught.value.details() for word in ("numpy", "NumPy", "proto"))


@pytest.mark.parametrize("message", [b"\xff\xff", b"\x0a\xff", b"\x12\x7f" * 9])
def test_messages_that_are_none(channel, message):
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

    with pytest.raises(grpc.RpcError) as caught:
        call(message)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be read as a request" in caught.value.details()


def test_images_in_examples_are_checked_whichever_api_sends_them(client):
    """Serialized by the client, they pass the Predict API as bytes."""
    example = tf.train.Example()
    example.features.feature["image_bytes"].bytes_list.value.append(b"no image")
    strings = {
        "The file is text, not an image": example.SerializeToString(),
        "is no tf.train.Example": b"\xff\xff",
    }
    for said, content in strings.items():
        document = {
            "signature_name": "classify",
            "instances": [{"b64": base64.b64encode(content).decode()}],
        }
        found = client.post(PREDICT, json=document)
        assert (found.status_code, said in found.text) == (400, True), found.text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("File /home/ann/models/x/1/saved_model.pb: bad", "File .../saved_model.pb: bad"),
        ("'/tmp/a b'", "'.../a b'"),
        ("1/2 of tensorflow/core/x.cc at http://h/a/b", "1/2 of tensorflow/core/x.cc at http://h/a/b"),
        ("two\n  lines", "two lines"),
        ("x" * 600, "x" * 500 + "..."),
        ("half \ud800", "half ?"),
    ],
)  # fmt: skip
def test_texts_of_others(text, wanted):
    assert foreign(text) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a", '"a"'),
        ({"a": [1, True, None]}, '{"a": [1, true, null]}'),
        ("x" * 200, '"' + "x" * 99 + "..."),
        (np.zeros(1), '"[0.]"'),
    ],
)
def test_values_that_are_repeated(value, wanted):
    assert shown(value) == wanted


def test_a_deep_value_is_repeated_in_part():
    deep = []
    for _ in range(100_000):
        deep = [deep]

    assert shown(deep) == "[" * 100 + "..."
