"""LiteRT (TensorFlow Lite) for phones and boards: one prepared example in, scores by unit out."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Loading
from keras_transfer.errors import BadData
from keras_transfer.exports.answers import Answers, Tensors
from keras_transfer.exports.formats import PredictFunction
from keras_transfer.exports.litert_metadata import with_metadata
from keras_transfer.exports.reading import Arrays, joined, on_inputs
from keras_transfer.exports.scratch import scratch
from keras_transfer.exports.source import Source
from keras_transfer.quiet import silenced

__all__ = ["load_predictor", "write"]

FILE = "model.tflite"
LABELS = "labels.txt"
"""Ends the name of the file of an output's names, inside the model and beside it."""


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``model.tflite`` and ``labels.txt``.

    It takes (1, size, size, 3) RGB pixels, 0..255: float32, or uint8 with int8; of a text
    ``token_ids``, (1, length) int32, and ``padding_mask``, (1, length) bool; and gives the
    tensors of ``Answers.by_unit``; of a classification (1, classes) float32 probabilities. The
    names of the units, in their order, are also inside the file, as its metadata say (they make
    it a ZIP archive, too).
    """
    with silenced(), scratch(folder) as saved:
        _save(source, str(saved))
        content = _converter(source, quantize, str(saved)).convert()
    texts = {
        f"{answer.prefix}{LABELS}": "".join(f"{name}\n" for name in answer.output.names)
        for answer in source.answers
    }
    size = source.loading.input.metadata.get("image_size")
    described = with_metadata(content, source.name, size, _label_files(source.answers))
    (folder / FILE).write_bytes(described + _archive(texts, len(described)))
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _label_files(answers: Answers) -> dict[str, str]:
    """Which file names the units of a tensor, by the tensor's name."""
    return {
        tensor: f"{answer.prefix}{LABELS}"
        for answer in answers
        for tensor in answer.by_unit(np.zeros((1, len(answer.output.names)), "float32"))
    }


def _save(source: Source, folder: str) -> None:
    """By way of a SavedModel: only so inputs and outputs keep their names."""
    module = tf.Module()
    # A variable that no module tracks makes tf.saved_model.save fail.
    module.weights = [variable.value for variable in source.model.variables]

    @tf.function(autograph=False)
    def forward(**inputs: tf.Tensor) -> Tensors:
        return source.answers.by_unit(source.scores(inputs))

    signature = forward.get_concrete_function(**source.inputs(1))
    tf.saved_model.save(module, folder, signatures=signature)


def _converter(source: Source, quantize: str, saved: str) -> tf.lite.TFLiteConverter:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: _one_by_one(source.representative())
        # No float fallback: an operation without int8 form should fail here, not slow a device
        # down.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        # Pixels as cameras give them; int8 would make every app subtract 128.
        converter.inference_input_type = tf.uint8
    return converter


def _one_by_one(batches: Iterator[Arrays]) -> Iterator[dict[str, np.ndarray]]:
    for batch in batches:
        yield from _rows(batch)


def _rows(batch: Arrays) -> Iterator[dict[str, np.ndarray]]:
    for row in range(len(next(iter(batch.values())))):
        yield {name: x[row : row + 1] for name, x in batch.items()}


def _archive(texts: Mapping[str, str], offset: int) -> bytes:
    """A ZIP archive that stands behind so many other bytes."""
    file = io.BytesIO(bytes(offset))
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return file.getvalue()[offset:]


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back by ``ai_edge_litert``, which needs no TensorFlow.

    Raises:
        BadData: It cannot be loaded.
    """
    from ai_edge_litert.interpreter import Interpreter

    with silenced():
        try:
            interpreter = Interpreter(str(folder / FILE), num_threads=os.cpu_count())
            interpreter.allocate_tensors()
            # By signature, which keeps the names of inputs and outputs.
            ask = interpreter.get_signature_runner()
        except (OSError, ValueError, RuntimeError) as error:
            raise BadData(f"{folder / FILE} cannot be loaded: {error}") from None
    types = {name: details["dtype"] for name, details in ask.get_input_details().items()}

    def one(inputs: Arrays) -> Arrays:
        return ask(**{name: x.astype(types[name]) for name, x in inputs.items()})

    return on_inputs(loading, lambda batch: joined(one(row) for row in _rows(batch)))
