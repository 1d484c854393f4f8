"""TensorFlow Serving's gRPC services, on the stubs of tensorflow-serving-api."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import AbstractContextManager
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import ParseDict
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from keras_transfer.errors import BadConfiguration
from keras_transfer.quiet import silenced
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.grpc_boundary import GrpcBoundary
from keras_transfer.serving.grpc_results import (
    check_tasks,
    classification_result,
    inference_result,
    regression_result,
)
from keras_transfer.serving.guard import objects
from keras_transfer.serving.inference import CLASSIFY, REGRESS
from keras_transfer.serving.messages import echo
from keras_transfer.serving.model_config import model_configs
from keras_transfer.serving.models import DEFAULT, Model
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
        _Prediction(service), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(service), server)
    names = [
        message.DESCRIPTOR.services_by_name[service].full_name
        for message, service in (
            (prediction_service_pb2, "PredictionService"),
            (model_service_pb2, "ModelService"),
        )
    ]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    try:
        with silenced():  # what it minds is said by the caller
            return server, server.add_insecure_port(address)
    except RuntimeError:
        return server, 0


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, service: Service):
        self.service = service

    def _measured(self, api: str, request: Any) -> AbstractContextManager[None]:
        return self.service.measured(api, "GRPC", request.model_spec.name)

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._measured("Predict", request):
            model = _model(self.service, request)
            wanted = _outputs(model, request)
            inputs = {
                name: _array(one, self.service.limits.body) for name, one in request.inputs.items()
            }
            asked = self.service.predict(model, request.model_spec.signature_name, inputs)
            outputs = _wait(asked, self.service)
            response = predict_pb2.PredictResponse()
            _name(response.model_spec, asked)
            for name in wanted:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
            return response

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._measured("Classify", request):
            asked = _infer(self.service, request, CLASSIFY)
            response = classification_pb2.ClassificationResponse(
                result=classification_result(_wait(asked, self.service))
            )
            _name(response.model_spec, asked)
            return response

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._measured("Regress", request):
            asked = _infer(self.service, request, REGRESS)
            response = regression_pb2.RegressionResponse(
                result=regression_result(_wait(asked, self.service))
            )
            _name(response.model_spec, asked)
            return response

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        # Counted under the first task's model; without a task, under none.
        first = next(iter(request.tasks), inference_pb2.InferenceTask(model_spec={}))
        with self._measured("MultiInference", first):
            model = _model(self.service, first)
            check_tasks(request, model)
            pending = [
                self.service.infer(
                    model,
                    task.method_name,
                    task.model_spec.signature_name,
                    _examples(request.input),
                )
                for task in request.tasks
            ]
            response = inference_pb2.MultiInferenceResponse()
            for asked, task in zip(pending, request.tasks, strict=True):
                result = inference_result(task.method_name, _wait(asked, self.service))
                _name(result.model_spec, asked)
                response.results.append(result)
            return response

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        _check_fields(request.metadata_field)
        model = _model(self.service, request)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = model.name
        response.model_spec.version.value = model.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, row in model.signatures.items():
            signatures.signature_def[name].CopyFrom(row.definition)
        response.metadata["signature_def"].Pack(signatures)
        return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, service: Service):
        self.service = service

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        spec = request.model_spec
        found = self.service.status(spec.name, _version(self.service, spec))
        return ParseDict(found, get_model_status_pb2.GetModelStatusResponse())

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise RequestError(
                "INVALID_ARGUMENT",
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                "ModelConfigList is currently supported",
            )
        try:
            configs = model_configs(request.config, "The request")
        except BadConfiguration as error:
            raise RequestError("INVALID_ARGUMENT", str(error)) from None
        self.service.versions.reload(configs, by_request=True)
        return model_management_pb2.ReloadConfigResponse()


def _version(service: Service, spec: Any) -> int | None:
    if spec.WhichOneof("version_choice") == "version_label":
        return service.versions.labelled(spec.name, spec.version_label)
    return spec.version.value if spec.HasField("version") else None


def _model(service: Service, request: Any) -> Model:
    if not request.HasField("model_spec"):
        raise RequestError("INVALID_ARGUMENT", "Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise RequestError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    return service.versions.get(spec.name, _version(service, spec))


def _outputs(model: Model, request: Any) -> list[str]:
    """Names of the outputs that are asked for; judged before anything is computed."""
    name = request.model_spec.signature_name or DEFAULT
    if name not in model.signatures:
        raise RequestError(
            "FAILED_PRECONDITION", f'Serving signature key "{echo(name)}" not found.'
        )
    known = sorted(model.signatures[name].definition.outputs)
    wanted = list(request.output_filter)
    for place, one in enumerate(wanted):
        if one not in known:
            raise RequestError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {echo(one)} Outputs expected to "
                f"be in the set {{{','.join(known)}}}.",
            )
        if one in wanted[:place]:
            raise RequestError("INVALID_ARGUMENT", f"duplicate output tensor alias: {echo(one)}")
    return wanted or known


def _check_fields(fields: Sequence[str]) -> None:
    if not fields:
        raise RequestError(
            "INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in fields:
        if field != "signature_def":
            raise RequestError("INVALID_ARGUMENT", f"Metadata field {echo(field)} is not supported")


def _infer(service: Service, request: Any, method: str) -> PendingRequest:
    model = _model(service, request)
    signature = request.model_spec.signature_name
    return service.infer(model, method, signature, _examples(request.input))


def _array(tensor: Any, most: int) -> np.ndarray:
    shape = [side.size for side in tensor.tensor_shape.dim]
    try:
        # A message may stand for more values than it holds: the last one counts for all others.
        # As float: an integer product of large sides could overflow and look small.
        size = np.prod(shape, dtype=float) * (tf.as_dtype(tensor.dtype).size or 8)
        if len(shape) > MAX_DEPTH or min(shape, default=0) < 0 or size > most:
            raise ValueError
        found = np.asarray(tf.make_ndarray(tensor))
    except Exception:  # whatever numpy makes of values that do not fit their type or shape
        raise RequestError(
            "INVALID_ARGUMENT",
            "A tensor cannot be read: its values do not fit its dtype or its shape "
            f"({echo(str(shape)[1:-1])}), or are more than the message can hold",
        ) from None
    if found.dtype != object:
        return found
    # Strings that the message leaves out are 0 in numpy's array of objects.
    return objects([one or b"" for one in found.ravel()]).reshape(found.shape)


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
