"""gRPC's messages of the Classify, Regress and MultiInference APIs."""

from __future__ import annotations

from typing import Any

from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.inference import CLASSIFY, REGRESS, classifications, regressions
from keras_transfer.serving.models import DEFAULT, Model, Tensors

__all__ = ["check_tasks", "classification_result", "inference_result", "regression_result"]


def classification_result(outputs: Tensors) -> classification_pb2.ClassificationResult:
    """Labels and scores as a message."""
    found = classification_pb2.ClassificationResult()
    for row in classifications(outputs):
        classes = found.classifications.add().classes
        for label, score in row:
            classes.add(label=label, score=score)
    return found


def regression_result(outputs: Tensors) -> regression_pb2.RegressionResult:
    """Values as a message."""
    found = regression_pb2.RegressionResult()
    for value in regressions(outputs):
        found.regressions.add(value=value)
    return found


def inference_result(method: str, outputs: Tensors) -> inference_pb2.InferenceResult:
    """The result of one task of a MultiInferenceRequest."""
    if method == CLASSIFY:
        return inference_pb2.InferenceResult(classification_result=classification_result(outputs))
    return inference_pb2.InferenceResult(regression_result=regression_result(outputs))


def check_tasks(request: inference_pb2.MultiInferenceRequest, model: Model) -> None:
    """Refuse tasks that cannot be answered together.

    Args:
        request: All tasks.
        model: Of the first one.

    Raises:
        RequestError: They name several models or versions, a signature twice, or an unknown method.
    """
    specs = [task.model_spec for task in request.tasks]
    names = [spec.signature_name or DEFAULT for spec in specs]
    for task, spec, name in zip(request.tasks, specs, names, strict=True):
        if spec.name != model.name:
            raise _bad("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if _version(spec) != _version(specs[0]):
            raise _bad("All ModelSpecs in a MultiInferenceRequest must access the same version.")
        if names.count(name) > 1:
            raise _bad(f"Duplicate evaluation of signature: {name}")
        if name not in model.signatures:
            raise _bad(f"Requested signature not found in model graph: {name}")
        if task.method_name not in (CLASSIFY, REGRESS):
            raise RequestError(
                "UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name[:100]}"
            )


def _version(spec: Any) -> tuple[str | None, int, str]:
    return spec.WhichOneof("version_choice"), spec.version.value, spec.version_label


def _bad(message: str) -> RequestError:
    return RequestError("INVALID_ARGUMENT", message)
