"""What can be asked of a server, whichever way the question comes in."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict

from keras_transfer.serving.admission import Budget, Workers, current_request
from keras_transfer.serving.batching import Batcher, Check
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.guard import checked, objects, pixels
from keras_transfer.serving.inference import check_signature
from keras_transfer.serving.limits import Limits
from keras_transfer.serving.messages import echo
from keras_transfer.serving.metrics import Metrics
from keras_transfer.serving.models import DEFAULT, Model, Tensors
from keras_transfer.serving.served_models import ServedModels

__all__ = ["Limits", "PendingRequest", "Service"]


@dataclass(frozen=True, eq=False)
class PendingRequest:
    """A request that has been taken on.

    Attributes:
        model: Who answers it.
        signature: By what.
        answer: Outputs by name, to come; or ``RequestError``.
    """

    model: Model
    signature: str
    answer: Future


class Service:
    """Answers for the models of a server, which share its queue and limits.

    Args:
        versions: Of the models.
        batcher: Puts requests together.
        limits: What they may cost.
        metrics: Counts them.
    """

    def __init__(self, versions: ServedModels, batcher: Batcher, limits: Limits, metrics: Metrics):
        self.versions, self.batcher, self.limits = versions, batcher, limits
        self.metrics = metrics
        self.bodies = Budget(max(limits.bodies, limits.body))
        self.pixels = Budget(max(limits.queue_pixels, limits.request_pixels, limits.pixels))
        self.workers = Workers()

    def measured(self, api: str, entrypoint: str, name: str) -> AbstractContextManager[None]:
        """Count what happens inside as one request to a model.

        Args:
            api: "Predict", "Classify" or such.
            entrypoint: "REST" or "GRPC".
            name: As the client wrote it; only known ones get metrics of their own.
        """
        known = name if name in self.versions.names else ""
        return self.metrics.request(api, entrypoint, known)

    def predict(self, model: Model, signature: str, inputs: Tensors) -> PendingRequest:
        """Ask a signature.

        Args:
            model: As ``versions`` gives it.
            signature: "" for the default one.
            inputs: Arrays by name.

        Raises:
            Refused: The inputs are not what it takes, or too many are waiting.
        """
        row = model.signature(signature)
        if set(inputs) != set(row.inputs):
            wanted = ", ".join(sorted(row.inputs))
            got = echo(", ".join(sorted(inputs))) or "none"
            raise RequestError("INVALID_ARGUMENT", f"The inputs should be {wanted}; got {got}")
        if row.batched:
            self._check_count(max((len(one) for one in inputs.values() if one.ndim), default=1))
        for name, array in inputs.items():
            _check_input(name, array, row.inputs[name])
        signature = signature or DEFAULT
        costs = pixels(row, inputs, self.limits)
        total = self._take_pixels(int(costs.sum()))
        try:
            answer = self._submitted(model, signature, inputs, costs)
        except BaseException:
            self.pixels.give(total)
            raise
        answer.add_done_callback(lambda done: self.pixels.give(total))
        return PendingRequest(model, signature, answer)

    def _submitted(
        self, model: Model, signature: str, inputs: Tensors, costs: np.ndarray
    ) -> Future:
        """Queue a request; the images of a large one are checked where they are decoded."""
        check: Check = functools.partial(checked, model.signature(signature), limits=self.limits)
        if not self.batcher.is_large(costs):
            inputs, check = check(inputs), dict
        context = current_request(self.limits.seconds)
        return self.batcher.submit(model, signature, inputs, context, costs=costs, check=check)

    def _take_pixels(self, total: int) -> int:
        most = max(self.limits.request_pixels, self.limits.pixels)
        if total > most:
            raise RequestError(
                "RESOURCE_EXHAUSTED",
                f"The images of the request have {total:,} pixels, over {most:,} "
                "(--max-request-pixels); send fewer at once",
            )
        if not self.pixels.take(total):
            raise RequestError(
                "UNAVAILABLE",
                f"Images of {self.pixels.held:,} pixels are waiting, of at most "
                f"{self.pixels.limit:,} (--max-queue-pixels); try again later",
            )
        return total

    def check_room(self) -> None:
        """Refuse a request before its body is read, if it could not be queued.

        Raises:
            RequestError: Too many are waiting.
        """
        if self.batcher.full() or not self.pixels.fits(1):
            raise RequestError("UNAVAILABLE", "Too many requests are waiting; try again later")

    def infer(
        self, model: Model, method: str, signature: str, given: list[tf.train.Example]
    ) -> PendingRequest:
        """Ask a signature of the Classify or Regress API.

        Args:
            model: As ``versions`` gives it.
            method: ``CLASSIFY`` or ``REGRESS``.
            signature: "" for the default one.
            given: At least one example.

        Raises:
            Refused: The signature is for something else, or the examples are not what it takes.
        """
        row = model.signatures.get(signature or DEFAULT)
        if row is None:
            raise RequestError(
                "INVALID_ARGUMENT",
                f"No signature was found with the name: {echo(signature or DEFAULT)}",
            )
        check_signature(row, method)
        if not given:
            raise RequestError("INVALID_ARGUMENT", "Input is empty.")
        self._check_count(len(given))
        serialized = objects([one.SerializeToString() for one in given])
        return self.predict(model, signature, {next(iter(row.inputs)): serialized})

    def _check_count(self, count: int) -> None:
        """Thousands of tiny images fit in a small body, but not in memory once resized."""
        most = self.batcher.max_queue
        if not count:
            raise RequestError("INVALID_ARGUMENT", "The request has no examples; send at least one")
        if count > most:
            raise RequestError(
                "INVALID_ARGUMENT", f"A request may hold {most:,} examples; this one has {count:,}"
            )

    def status(self, name: str, version: int | None = None) -> dict[str, Any]:
        """What became of the versions, as ``GetModelStatusResponse`` in JSON has it.

        Raises:
            Refused: There is no such model or version.
        """
        states = self.versions.states(name)
        shown = echo(name)
        if not states:
            raise RequestError("NOT_FOUND", f"Could not find any versions of model {shown}")
        if version is not None and version not in states:
            raise RequestError("NOT_FOUND", f"Could not find version {version} of model {shown}")
        chosen = sorted(states) if version is None else [version]
        return {
            "model_version_status": [
                {
                    "version": str(number),
                    "state": states[number].state,
                    "status": {
                        "error_code": "UNKNOWN" if states[number].error else "OK",
                        "error_message": states[number].error,
                    },
                }
                for number in reversed(chosen)
            ]
        }

    def metadata(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Signatures of a version, as ``GetModelMetadataResponse`` in JSON has them.

        Raises:
            Refused: There is no such model or version.
        """
        model = self.versions.get(name, version)
        return {
            "model_spec": {
                "name": name,
                "signature_name": "",
                "version": str(model.version),
            },
            "metadata": {"signature_def": {"signature_def": _definitions(model)}},
        }


def _check_input(name: str, array: np.ndarray, spec: tf.TensorSpec) -> None:
    kind = np.dtype(object) if spec.dtype == tf.string else np.dtype(spec.dtype.as_numpy_dtype)
    if array.dtype != kind or not spec.shape.is_compatible_with(array.shape):
        raise RequestError(
            "INVALID_ARGUMENT",
            f"Input {name!r} should be {spec.dtype.name} of shape {spec.shape}; got "
            f"{array.dtype} of shape {array.shape}",
        )


def _definitions(model: Model) -> Mapping[str, Any]:
    return {
        name: MessageToDict(
            row.definition,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name, row in model.signatures.items()
    }
