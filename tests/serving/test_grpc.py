"""The gRPC interface, by the stubs of tensorflow-serving-api."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_transfer.serving.grpc_api import build_grpc


@pytest.fixture(scope="module")
def channel(service):
    server, port = build_grpc(service, "127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(None)


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(contents, name="colours", signature="", version=None, outputs=()):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name, asked.model_spec.signature_name = name, signature
    if version is not None:
        asked.model_spec.version.value = version
    asked.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(contents))
    asked.output_filter.extend(outputs)
    return asked


def test_predict(stub, images):
    answer = stub.Predict(request(images.contents))

    assert answer.model_spec.name == "colours"
    assert answer.model_spec.version.value == 1
    outputs = {name: tf.make_ndarray(one) for name, one in answer.outputs.items()}
    assert set(outputs) == {"classes", "probabilities", "scores"}
    assert [row[0].decode() for row in outputs["classes"]] == images.labels
    np.testing.assert_allclose(outputs["scores"], images.wanted, atol=1e-5)


def test_only_the_outputs_asked_for(stub, images):
    answer = stub.Predict(request(images.contents[:1], outputs=["scores"]))

    assert list(answer.outputs) == ["scores"]


def test_pixels(stub):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name, asked.model_spec.signature_name = "colours", "predict_pixels"
    pixels = np.full((1, 30, 20, 3), [0, 0, 255], "uint8")
    asked.inputs["pixels"].CopyFrom(tf.make_tensor_proto(pixels))

    assert tf.make_ndarray(stub.Predict(asked).outputs["classes"])[0, 0] == b"blue"


def test_classify_with_a_shared_context(stub, images):
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name, asked.model_spec.signature_name = "colours", "classify"
    shared = asked.input.example_list_with_context
    shared.context.features.feature["image_bytes"].bytes_list.value.append(images.contents[0])
    shared.examples.add()
    shared.examples.add()

    rows = stub.Classify(asked).result.classifications

    assert [row.classes[0].label for row in rows] == 2 * [images.labels[0]]
    assert rows[0].classes[0].score == pytest.approx(max(images.wanted[0]), abs=1e-5)


def test_metadata(stub):
    asked = get_model_metadata_pb2.GetModelMetadataRequest()
    asked.model_spec.name = "colours"
    asked.metadata_field.append("signature_def")
    found = get_model_metadata_pb2.SignatureDefMap()

    stub.GetModelMetadata(asked).metadata["signature_def"].Unpack(found)

    assert found.signature_def["serving_default"].inputs["image_bytes"].dtype == tf.string
    assert found.signature_def["classify"].method_name == "tensorflow/serving/classify"


def test_status(channel):
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "colours"

    (one,) = (
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked).model_version_status
    )

    assert (one.version, one.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ({"name": "half"}, "NOT_FOUND", "Servable not found for request: Latest(half)"),
        ({"version": 7}, "NOT_FOUND", "Specific(colours, 7)"),
        ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"signature": "no"}, "FAILED_PRECONDITION", 'Serving signature key "no" not found.'),
        ({"signature": "forward"}, "INVALID_ARGUMENT", "The inputs should be pixels"),
        ({"outputs": ["no"]}, "INVALID_ARGUMENT", "output tensor alias not found"),
        (
            {"outputs": ["scores", "classes", "scores"]},
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: scores",
        ),
        ({"contents": [b"no image"]}, "INVALID_ARGUMENT", "is text, not an image"),
        ({"contents": [1.5]}, "INVALID_ARGUMENT", "should be string"),
        ({"contents": [[b"x"]]}, "INVALID_ARGUMENT", "shape"),
    ],
)
def test_errors(stub, images, words, code, said):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request(**{"contents": images.contents[:1], **words}))

    assert caught.value.code() == grpc.StatusCode[code]
    assert said in caught.value.details()


def test_a_tensor_that_lies_about_its_shape(stub):
    asked = request([b"x"])
    asked.inputs["image_bytes"].tensor_shape.dim[0].size = 10**12

    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(asked)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_token_is_wanted(service, images):
    server, port = build_grpc(service, "127.0.0.1:0", token="sesame")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        asked = request(images.contents[:1])
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(asked)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        stub.Predict(asked, metadata=[("authorization", "Bearer sesame")])
    server.stop(None)
