"""A ``.keras`` file for scripts: prepared inputs in, scores by unit out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.data.batches import Loading
from keras_transfer.exports.formats import PredictFunction
from keras_transfer.exports.reading import on_inputs
from keras_transfer.exports.source import Source
from keras_transfer.networks.keras_files import load_keras

__all__ = ["load_predictor", "with_answers", "write"]

FILE = "model.keras"


def write(folder: Path, source: Source, quantize: str = "none") -> None:
    """Write ``model.keras``; it loads without this package, but for learners and KerasHub."""
    with_answers(source).save(folder / FILE)


def with_answers(source: Source) -> keras.Model:
    """Put activations and decisions on a network.

    Returns:
        From inputs to the tensors of ``Answers.by_unit``, as dicts; a single input or tensor is
        not in a dict, but is called so.
    """
    model, answers = source.model, source.answers
    # A model of its own: Keras may give its operations names that the network's have already.
    given = {name: keras.Input(one.shape[1:]) for name, one in model.output.items()}
    tensors = answers.by_unit(answers.scores(given))
    activations = keras.Model([*given.values()], tensors, name="answers")
    found: Mapping[str, Any] = activations([model.output[name] for name in given])
    # A single output has no key; Keras then calls it by its last layer.
    named = {name: keras.layers.Identity(name=name)(tensor) for name, tensor in found.items()}
    return keras.Model(_alone(model.input), _alone(named), name="classifier")


def _alone(tensors: Mapping[str, Any]) -> Any:
    return next(iter(tensors.values())) if len(tensors) == 1 else dict(tensors)


def load_predictor(folder: Path, loading: Loading) -> PredictFunction:
    """Read it back; images become pixels as in training.

    Raises:
        BadWeights: It cannot be loaded.
    """
    model = load_keras(folder / FILE)

    def answer(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        found = model.predict_on_batch(_alone(inputs))
        return found if isinstance(found, dict) else {model.output_names[0]: found}

    return on_inputs(loading, answer)
