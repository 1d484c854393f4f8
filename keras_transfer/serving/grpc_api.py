"""TensorFlow Serving's gRPC services, on the stubs of tensorflow-serving-api."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import ParseDict
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_transfer.quiet import silenced
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.grpc_boundary import GrpcBoundary
from keras_transfer.serving.messages import echo
from keras_transfer.serving.models import Model
from keras_transfer.serving.payload import MAX_DEPTH
from keras_transfer.serving.service import PendingRequest, Service

__all__ = ["build_grpc"]

# More than cores: a worker mostly waits for the batcher.
WORKERS = 64


def build_grpc(service: Service, address: str, *, token: str = "") -> tuple[grpc.Server, int]:
    """Make a server, not yet started.

    Args:
        service: Answers.
        address: "host:port"; port 0 takes a free one.
        token: What the metadata ``authorization`` must say after "Bearer "; "" for none.

    Returns:
        The server and its port; 0 where the address cannot be had.
    """
    options = [
        ("grpc.max_receive_message_length", service.limits.body),
        ("grpc.max_send_message_length", -1),
        # Otherwise a second server could take the same port, and each would get some of the
        # requests.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(
        ThreadPoolExecutor(WORKERS, "grpc"),
        interceptors=[GrpcBoundary(service, token)],
        options=options,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Prediction(service, token), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(service, token), server)
    try:
        with silenced():  # what it minds is said by the caller
            return server, server.add_insecure_port(address)
    except RuntimeError:
        return server, 0


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, service: Service, token: str):
        self.service, self.token = service, token

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _told(context, self.token), self.service.metrics.request("Predict", "GRPC"):
            model = _model(self.service, request.model_spec)
            inputs = {
                name: _array(one, self.service.limits.body) for name, one in request.inputs.items()
            }
            asked = self.service.predict(model, request.model_spec.signature_name, inputs)
            outputs = _wait(asked, self.service)
            wanted = list(request.output_filter) or list(outputs)
            unknown = [name for name in wanted if name not in outputs]
            if unknown:
                raise RequestError(
                    "INVALID_ARGUMENT",
                    f"output tensor alias not found in signature: {echo(unknown[0])} Outputs "
                    f"expected to be in the set {{{','.join(sorted(outputs))}}}.",
                )
            response = predict_pb2.PredictResponse()
            _name(response.model_spec, asked)
            for name in wanted:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
            return response

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _told(context, self.token), self.service.metrics.request("Classify", "GRPC"):
            model = _model(self.service, request.model_spec)
            asked = self.service.classify(
                model, request.model_spec.signature_name, _examples(request.input)
            )
            outputs = _wait(asked, self.service)
            response = classification_pb2.ClassificationResponse()
            _name(response.model_spec, asked)
            for labels, scores in zip(outputs["classes"], outputs["scores"], strict=True):
                row = response.result.classifications.add()
                for label, score in zip(labels, scores, strict=True):
                    row.classes.add(label=label.decode("utf-8", "replace"), score=score)
            return response

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _told(context, self.token):
            if list(request.metadata_field) != ["signature_def"]:
                raise RequestError("INVALID_ARGUMENT", "metadata_field should be 'signature_def'")
            model = _model(self.service, request.model_spec)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = model.name
            response.model_spec.version.value = model.version
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, row in model.signatures.items():
                signatures.signature_def[name].CopyFrom(row.definition)
            response.metadata["signature_def"].Pack(signatures)
            return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, service: Service, token: str):
        self.service, self.token = service, token

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _told(context, self.token):
            spec = request.model_spec
            found = self.service.status(spec.name, _version(spec))
            return ParseDict(found, get_model_status_pb2.GetModelStatusResponse())


@contextmanager
def _told(context: grpc.ServicerContext, token: str) -> Iterator[None]:
    """Refuse without the token; turn refusals into gRPC's statuses."""
    given = dict(context.invocation_metadata()).get("authorization", "")
    # Takes equally long whatever differs, so that a token cannot be guessed letter by letter.
    if token and not hmac.compare_digest(str(given).encode(), f"Bearer {token}".encode()):
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "A bearer token is wanted")
    try:
        yield
    except RequestError as error:
        # abort raises, so nothing after it runs.
        context.abort(grpc.StatusCode[error.code], str(error))


def _version(spec: Any) -> int | None:
    if spec.version_label:
        raise RequestError(
            "INVALID_ARGUMENT",
            f"Unrecognized servable version label: {echo(spec.version_label)}",
        )
    return spec.version.value if spec.HasField("version") else None


def _model(service: Service, spec: Any) -> Model:
    if not spec.name:
        raise RequestError("INVALID_ARGUMENT", "Missing ModelSpec")
    return service.versions.get(spec.name, _version(spec))


def _array(tensor: Any, most: int) -> np.ndarray:
    shape = [side.size for side in tensor.tensor_shape.dim]
    try:
        # A message may stand for more values than it holds: the last one counts for all others.
        # As float: an integer product of large sides could overflow and look small.
        size = np.prod(shape, dtype=float) * max(tf.as_dtype(tensor.dtype).size or 1, 1)
        if len(shape) > MAX_DEPTH or min(shape, default=0) < 0 or size > most:
            raise ValueError
        return np.asarray(tf.make_ndarray(tensor))
    except Exception:  # whatever numpy makes of values that do not fit their type or shape
        raise RequestError(
            "INVALID_ARGUMENT",
            "A tensor cannot be read: its values do not fit its dtype or its shape "
            f"({echo(str(shape)[1:-1])}), or are more than the message can hold",
        ) from None


def _examples(given: Any) -> list[tf.train.Example]:
    kind = given.WhichOneof("kind")
    if kind != "example_list_with_context":
        return list(given.example_list.examples)
    shared = given.example_list_with_context.context
    found = []
    for one in given.example_list_with_context.examples:
        whole = tf.train.Example.FromString(shared.SerializeToString())
        whole.MergeFrom(one)
        found.append(whole)
    return found


def _wait(asked: PendingRequest, service: Service) -> dict[str, np.ndarray]:
    try:
        return asked.answer.result(service.limits.seconds)
    except Late:
        raise RequestError("UNAVAILABLE", "The request took too long") from None


def _name(spec: Any, asked: PendingRequest) -> None:
    spec.name, spec.signature_name = asked.model.name, asked.signature
    spec.version.value = asked.model.version
