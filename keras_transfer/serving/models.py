"""One version of a model: a SavedModel in memory, asked by the names of its signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from keras_transfer.errors import BadData
from keras_transfer.exports.integrity import check_saved_model
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.limits import undecodable
from keras_transfer.serving.messages import echo, foreign

__all__ = ["DEFAULT", "WARMUP", "Model", "Signature", "Tensors", "warmup_requests"]

DEFAULT = "serving_default"
WARMUP = Path("assets.extra", "tf_serving_warmup_requests")

# What an operation raises for values that it cannot take.
REFUSED = (
    tf.errors.InvalidArgumentError,
    tf.errors.OutOfRangeError,
    tf.errors.UnimplementedError,
    tf.errors.DataLossError,
)

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Signature:
    """What can be asked under one name.

    Attributes:
        method: "tensorflow/serving/predict", or ".../classify".
        inputs: Dtype and shape of each input, by name.
        definition: All that the SavedModel says of it.
        function: Takes and gives tensors by name.
    """

    method: str
    inputs: dict[str, tf.TensorSpec]
    definition: meta_graph_pb2.SignatureDef
    function: Any

    @property
    def batched(self) -> bool:
        """Whether requests may be put together: every input has a first axis of any length."""
        return all(
            spec.shape.rank and spec.shape.as_list()[0] is None for spec in self.inputs.values()
        )


class Model:
    """A version of a model, ready to answer.

    Args:
        name: As clients call it.
        version: A whole number above 0.
        folder: Holds ``saved_model.pb``.
        trust: Whether it may have operators that no export of this package has.

    Raises:
        BadData: It is not what was written, cannot be loaded, or does not answer its own warm-up
            requests.
    """

    def __init__(self, name: str, version: int, folder: Path, *, trust: bool = False):
        self.name, self.version, self.folder = name, version, folder
        try:
            check_saved_model(folder, trust=trust)
            # Kept, because its signatures do not keep the variables alive.
            self._loaded = tf.saved_model.load(str(folder))
            # From the file: the loaded functions do not know their method names.
            definitions = _definitions(folder / "saved_model.pb")
            self.signatures = {
                name: _signature(function, definitions[name])
                for name, function in self._loaded.signatures.items()
            }
            # The first call of each shape is slow, and a broken model shows before it replaces
            # another.
            for signature, inputs in warmup_requests(folder / WARMUP):
                self.run(signature, inputs)
        except (
            BadData,
            OSError,
            ValueError,
            KeyError,
            DecodeError,
            RequestError,
            tf.errors.OpError,
        ) as error:
            raise BadData(f"Version {version} in {folder} cannot be served: {error}") from None

    def signature(self, name: str = "") -> Signature:
        """Look a signature up; no name is ``serving_default``.

        Raises:
            Refused: There is none of that name.
        """
        found = self.signatures.get(name or DEFAULT)
        if found is None:
            raise RequestError(
                "INVALID_ARGUMENT",
                f'Serving signature name: "{echo(name or DEFAULT)}" not found in signature def',
            )
        return found

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Answer.

        Args:
            signature: Name of one.
            inputs: (batch, ...) arrays by name, as the signature says; object arrays of bytes for
                strings.

        Returns:
            (batch, ...) arrays by name.

        Raises:
            Refused: The graph cannot take these values.
        """
        row = self.signature(signature)
        try:
            tensors = {name: tf.constant(inputs[name], row.inputs[name].dtype) for name in inputs}
            return {name: one.numpy() for name, one in row.function(**tensors).items()}
        except REFUSED as error:
            reason = undecodable(inputs) or _plain(error)
            raise RequestError("INVALID_ARGUMENT", reason) from None
        except tf.errors.ResourceExhaustedError:
            raise RequestError("UNAVAILABLE", "Not enough memory for this request now") from None


def _signature(function: Any, definition: meta_graph_pb2.SignatureDef) -> Signature:
    inputs = function.structured_input_signature[1]
    return Signature(definition.method_name, dict(inputs), definition, function)


def _definitions(file: Path) -> Mapping[str, meta_graph_pb2.SignatureDef]:
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (graph,) = document.meta_graphs
    return graph.signature_def


def warmup_requests(file: Path) -> list[tuple[str, Tensors]]:
    """The requests that a model brings along, as far as they are for Predict."""
    # Only `serve` needs this package.
    from tensorflow_serving.apis import prediction_log_pb2

    if not file.is_file():
        return []
    found = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(one) for name, one in request.inputs.items()}
        found.append((request.model_spec.signature_name, inputs))
    return found


def _plain(error: tf.errors.OpError) -> str:
    """What an operation minds, without the stack of nodes around it."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    skipped = ("Graph execution error", "Detected at node", "<stack traces", "[[", "Original stack")
    kept = [line for line in lines if not line.startswith(skipped)]
    return foreign(" ".join(kept[:2]).split("[Op:")[0]) or "The input is invalid"
