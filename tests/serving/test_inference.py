"""Classify, Regress and MultiInference, on a model of known answers that has all of them."""

import shutil

import grpc
import numpy as np
import pytest
import tensorflow as tf
from starlette.testclient import TestClient
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from keras_transfer.serving.grpc_api import build_grpc
from keras_transfer.serving.rest import build_app

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
METHODS = {"classify": CLASSIFY, "regress": REGRESS, "wide": REGRESS, "flat": CLASSIFY}


class Doubler(tf.Module):
    """Of an example's feature ``x``: 2 x, and that as a score of "small" against x of "large"."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def regress(self, inputs):
        return {"outputs": 2 * self.x(inputs)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def classify(self, inputs):
        x = self.x(inputs)
        classes = tf.tile([["small", "large"]], [tf.shape(x)[0], 1])
        return {"classes": classes, "scores": tf.concat([2 * x, x], 1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def wide(self, inputs):
        return {"outputs": tf.tile(self.x(inputs), [1, 3])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def flat(self, inputs):
        return {"scores": self.x(inputs)[:, 0]}

    def x(self, inputs):
        return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]


@pytest.fixture(scope="module")
def service(tmp_path_factory, make_service):
    base = tmp_path_factory.mktemp("doubler")
    module = Doubler()
    signatures = {name: getattr(module, name) for name in METHODS}
    tf.saved_model.save(module, str(base / "1"), signatures=signatures)
    # TensorFlow writes the method of Predict for all.
    file = base / "1" / "saved_model.pb"
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for name, method in METHODS.items():
        document.meta_graphs[0].signature_def[name].method_name = method
    file.write_bytes(document.SerializeToString())
    yield make_service(base, name="doubler")
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def stub(service):
    server, port = build_grpc(service, "127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    server.stop(None)


@pytest.fixture(scope="module")
def client(service):
    return TestClient(build_app(service))


def fill(request, *values):
    for value in values:
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(value)
    return request


def single(request, signature, *values):
    request.model_spec.name, request.model_spec.signature_name = "doubler", signature
    return fill(request, *values)


def tasks(*rows):
    """A request for rows of (model, signature, method, version)."""
    request = inference_pb2.MultiInferenceRequest()
    for model, signature, method, version in rows:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = model, signature
        if version:
            task.model_spec.version.value = version
    return fill(request, 0.5)


def refusal(call, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value.code().name, caught.value.details()


def test_regress(stub, client):
    answer = stub.Regress(single(regression_pb2.RegressionRequest(), "regress", 0.5, 3))
    rest = client.post(
        "/v1/models/doubler:regress",
        json={"signature_name": "regress", "examples": [{"x": 0.5}, {"x": 3.0}]},
    )

    assert [one.value for one in answer.result.regressions] == [1, 6]
    assert answer.model_spec.version.value == 1
    assert rest.json() == {"results": [1.0, 6.0]}


def test_several_tasks_at_once(stub):
    answer = stub.MultiInference(
        tasks(("doubler", "regress", REGRESS, 0), ("doubler", "classify", CLASSIFY, 0))
    )
    regression, classification = answer.results

    assert [one.value for one in regression.regression_result.regressions] == [1]
    (row,) = classification.classification_result.classifications
    assert [(one.label, one.score) for one in row.classes] == [("small", 1), ("large", 0.5)]
    assert classification.model_spec.signature_name == "classify"


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        ([], "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (
            [("doubler", "regress", REGRESS, 0), ("other", "classify", CLASSIFY, 0)],
            "INVALID_ARGUMENT",
            "must access the same model name",
        ),
        (
            [("doubler", "regress", REGRESS, 0), ("doubler", "classify", CLASSIFY, 1)],
            "INVALID_ARGUMENT",
            "must access the same version",
        ),
        (
            2 * [("doubler", "regress", REGRESS, 0)],
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: regress",
        ),
        (
            [("doubler", "no", REGRESS, 0)],
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: no",
        ),
        (
            [("doubler", "regress", "tensorflow/serving/predict", 0)],
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            [("doubler", "regress", CLASSIFY, 0)],
            "INVALID_ARGUMENT",
            "Expected classification signature method_name",
        ),
    ],
)
def test_tasks_that_do_not_go_together(stub, rows, code, said):
    found = refusal(stub.MultiInference, tasks(*rows))

    assert found[0] == code
    assert said in found[1]


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("no", "No signature was found with the name: no"),
        ("classify", f"signature method_name to be {REGRESS}. Was: {CLASSIFY}"),
        ("wide", "either [batch_size] or [batch_size, 1] but got [1, 3]"),
    ],
)
def test_signatures_that_regress_cannot_ask(stub, client, signature, said):
    code, text = refusal(stub.Regress, single(regression_pb2.RegressionRequest(), signature, 0.5))
    rest = client.post(
        "/v1/models/doubler:regress", json={"signature_name": signature, "examples": [{"x": 0.5}]}
    )

    assert code == "INVALID_ARGUMENT"
    assert said in text
    assert rest.status_code == 400
    assert said in rest.json()["error"]


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("no", "No signature was found with the name: no"),
        ("regress", f"signature method_name to be {CLASSIFY}. Was: {REGRESS}"),
        ("flat", "Expected Tensor shape: [batch_size num_classes] but got [1]"),
    ],
)
def test_signatures_that_classify_cannot_ask(stub, client, signature, said):
    request = single(classification_pb2.ClassificationRequest(), signature, 0.5)
    code, text = refusal(stub.Classify, request)
    rest = client.post(
        "/v1/models/doubler:classify", json={"signature_name": signature, "examples": [{"x": 0.5}]}
    )

    assert code == "INVALID_ARGUMENT"
    assert said in text
    assert rest.status_code == 400
    assert said in rest.json()["error"]


def test_without_a_model_spec(stub):
    for call, request in [
        (stub.Predict, predict_pb2.PredictRequest()),
        (stub.Regress, regression_pb2.RegressionRequest()),
        (stub.Classify, classification_pb2.ClassificationRequest()),
    ]:
        assert refusal(call, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_predict_asks_every_signature(stub):
    """Also those of the other two, as in TensorFlow Serving."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "doubler", "regress"
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(4)
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto([example.SerializeToString()]))

    assert tf.make_ndarray(stub.Predict(request).outputs["outputs"]) == np.array([[8]], "float32")


def test_fields_of_the_metadata(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "doubler"

    assert refusal(stub.GetModelMetadata, request) == (
        "INVALID_ARGUMENT",
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    request.metadata_field.extend(["signature_def", "signature_def"])
    assert list(stub.GetModelMetadata(request).metadata) == ["signature_def"]
    request.metadata_field.append("assets")
    assert refusal(stub.GetModelMetadata, request) == (
        "INVALID_ARGUMENT",
        "Metadata field assets is not supported",
    )
