"""ONNX for other runtimes: prepared inputs in, scores by unit out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Loading
from keras_transfer.errors import BadData
from keras_transfer.exports.answers import Tensors
from keras_transfer.exports.formats import PredictFunction
from keras_transfer.exports.reading import Arrays, on_inputs
from keras_transfer.exports.source import Source
from keras_transfer.quiet import silenced

__all__ = ["load_predictor", "write"]

FILE = "model.onnx"
OPSET = 17


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``model.onnx``.

    ``pixels``, (batch, size, size, 3) float32 RGB 0..255, to the tensors of ``Answers.by_unit``;
    of a classification that is ``probabilities``, (batch, classes) float32. Of texts
    ``token_ids``, (batch, length) int32, and ``padding_mask``, (batch, length) bool. The metadata
    ``outputs`` and ``input`` (JSON, as in ``export.json``), of a classification ``classes``
    (JSON, by index), of images ``image_size`` and ``resize`` are inside.
    """
    # Imported on use, since ONNX is an extra.
    import onnx
    import tf2onnx

    specs = source.inputs()

    @tf.function(autograph=False)
    def forward(*tensors: tf.Tensor) -> Tensors:
        inputs = dict(zip(specs, tensors, strict=True))
        return source.answers.by_unit(source.scores(inputs))

    with silenced(), _without_functions():
        _teach_erfc()
        converted, _ = tf2onnx.convert.from_function(forward, [*specs.values()], opset=OPSET)
    onnx.helper.set_model_props(converted, _metadata(source))
    onnx.save(converted, folder / FILE)


@contextmanager
def _without_functions() -> Iterator[None]:
    """Inside of a graph, put operations of functions in the place of calls.

    Keras compiles convolutions in groups as functions of their own, which tf2onnx cannot convert.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _teach_erfc() -> None:
    """Let tf2onnx convert erfc(x) = 1 - erf(x), which Keras's exact GELU has; ONNX has erf only."""
    from tf2onnx import utils
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class _Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
            dtypes, shapes, outputs = node.output_dtypes, node.output_shapes, list(node.output)
            one = np.ones((), utils.map_onnx_to_numpy_type(dtypes[0]))
            erf = ctx.make_node("Erf", list(node.input), dtypes=dtypes, shapes=shapes)
            ctx.remove_node(node.name)
            constant = ctx.make_const(f"{node.name}_one", one)
            inputs = [constant.output[0], erf.output[0]]
            ctx.make_node("Sub", inputs, outputs=outputs, dtypes=dtypes, shapes=shapes)


def _metadata(source: Source) -> dict[str, str]:
    described, answers = source.loading.input.metadata, source.answers
    found: dict[str, Any] = {"outputs": answers.to_json(), "input": described}
    if answers.classes is not None:
        found["classes"] = answers.classes
    texts = {name: json.dumps(content, ensure_ascii=False) for name, content in found.items()}
    squares = ("image_size", "resize")
    return texts | {name: str(described[name]) for name in squares if name in described}


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back by onnxruntime.

    Raises:
        BadData: It cannot be loaded.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(
            str(folder / FILE), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no other common base
        raise BadData(f"{folder / FILE} cannot be loaded: {error}") from None
    names = [tensor.name for tensor in session.get_outputs()]

    def answer(inputs: Arrays) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return on_inputs(loading, answer)
