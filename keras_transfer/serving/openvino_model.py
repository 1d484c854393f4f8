"""A model whose network runs on OpenVINO: TensorFlow decodes, OpenVINO computes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transfer.features.engines import Engine, openvino_engine, openvino_network
from keras_transfer.serving.models import DEFAULT, WARMUP, Model, Tensors, warmup_requests

__all__ = ["OpenVinoModel", "pays"]

logger = logging.getLogger("keras_transfer")

TOLERANCE = 1e-3
"""Largest difference of a probability from TensorFlow's."""


def pays() -> bool:
    """Whether OpenVINO is installed, and there is no GPU, which would be faster."""
    return bool(find_spec("openvino")) and not tf.config.list_physical_devices("GPU")


class OpenVinoModel(Model):
    """As ``Model``; ``serving_default`` is answered by way of ``decode`` and OpenVINO.

    Only exports of this package have the signatures ``decode`` and ``forward`` that this takes.
    Where they are missing, or OpenVINO answers the warm-up requests otherwise than TensorFlow
    does, TensorFlow answers.

    Args:
        name: As clients call it.
        version: A whole number above 0.
        folder: Holds ``saved_model.pb``.

    Raises:
        BadData: It cannot be loaded, or does not answer its own warm-up requests.
    """

    def __init__(self, name: str, version: int, folder: Path):
        self._engine: Engine | None = None
        super().__init__(name, version, folder)
        if {"decode", "forward"} <= set(self.signatures):
            self._take_over()

    def _take_over(self) -> None:
        requests = [one for which, one in warmup_requests(self.folder / WARMUP) if which == DEFAULT]
        wanted = [super(OpenVinoModel, self).run(DEFAULT, one)["scores"] for one in requests]
        try:
            network = openvino_network(self.signatures["forward"].function, chunk=1)
            self._engine = openvino_engine(network, "float32")
            self._classes = self._class_names(requests[0])
            found = [self.run(DEFAULT, one)["scores"] for one in requests]
        except Exception as error:  # whatever a converter does not know
            self._engine = None
            logger.warning("Warning: OpenVINO cannot run this model (%s); TensorFlow does.", error)
            return
        apart = max(float(np.abs(a - b).max()) for a, b in zip(found, wanted, strict=True))
        if not apart <= TOLERANCE:
            self._engine = None
            text = "Warning: OpenVINO's probabilities are %.2g from TensorFlow's, which answers."
            logger.warning(text, apart)

    def _class_names(self, request: Mapping[str, np.ndarray]) -> np.ndarray:
        """By class index: what TensorFlow's ranking of one image puts where."""
        answer = super().run(DEFAULT, request)
        order = np.argsort(-answer["scores"][0], kind="stable")
        names = np.empty(len(order), object)
        names[order] = answer["classes"][0]
        return names

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Answer; see ``Model.run``."""
        if self._engine is None or signature != DEFAULT:
            return super().run(signature, inputs)
        pixels = super().run("decode", inputs)["pixels"].astype("float32")
        scores = np.concatenate(list(self._engine([pixels])))
        order = np.argsort(-scores, axis=1, kind="stable")
        return {
            "classes": self._classes[order],
            "probabilities": np.take_along_axis(scores, order, axis=1),
            "scores": scores,
        }
