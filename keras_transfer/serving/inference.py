"""The Classify and Regress APIs: which signatures they take, and what their outputs mean."""

from __future__ import annotations

import numpy as np

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.models import Signature, Tensors

__all__ = ["CLASSIFY", "REGRESS", "check_signature", "classifications", "regressions"]

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_NAMES = {CLASSIFY: "classification", REGRESS: "regression"}


def check_signature(signature: Signature, method: str) -> None:
    """Refuse a signature that the API of a method cannot ask.

    Args:
        signature: What was asked for.
        method: ``CLASSIFY`` or ``REGRESS``.

    Raises:
        RequestError: It is made for something else.
    """
    if signature.method != method:
        raise _bad(
            f"Expected {_NAMES[method]} signature method_name to be {method}. "
            f"Was: {signature.method}"
        )
    if len(signature.inputs) != 1:
        raise _bad("Expected one input Tensor.")
    outputs = signature.definition.outputs.keys()
    if method == REGRESS and set(outputs) != {"outputs"}:
        raise RequestError("FAILED_PRECONDITION", "No regression outputs found in SignatureDef")
    if method == CLASSIFY and not {"classes", "scores"} & set(outputs):
        raise RequestError(
            "FAILED_PRECONDITION",
            "Expected classification signature outputs to contain at least one of "
            '"classes" or "scores".',
        )


def classifications(outputs: Tensors) -> list[list[tuple[str, float]]]:
    """Label and score of each class, for each example; "" or 0 where the model has none.

    Raises:
        RequestError: The tensors have other shapes than those of a classification.
    """
    given = [outputs[name] for name in ("classes", "scores") if name in outputs]
    for tensor in given:
        if tensor.ndim != 2 or tensor.shape != given[0].shape:
            raise _bad(
                f"Expected Tensor shape: [batch_size num_classes] but got {list(tensor.shape)}"
            )
    shape = given[0].shape
    labels = outputs.get("classes", np.full(shape, b"", object)).tolist()
    scores = outputs.get("scores", np.zeros(shape, "float32"))
    # 0.2, not 0.20000000298023224
    numbers = scores.astype("U32").astype("float64").tolist()
    return [
        [(label.decode("utf-8", "replace"), score) for label, score in zip(*row, strict=True)]
        for row in zip(labels, numbers, strict=True)
    ]


def regressions(outputs: Tensors) -> np.ndarray:
    """(examples,) value of each example.

    Raises:
        RequestError: The tensor has not one value for each.
    """
    values = outputs["outputs"]
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        return values.ravel()
    raise _bad(
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
        f"{list(values.shape)}"
    )


def _bad(message: str) -> RequestError:
    return RequestError("INVALID_ARGUMENT", message)
