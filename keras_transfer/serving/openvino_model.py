"""A model whose network runs on OpenVINO: TensorFlow decodes, OpenVINO computes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.samples import LABEL
from keras_transfer.exports.answers import Answers
from keras_transfer.exports.exported import METADATA
from keras_transfer.exports.parity import at_threshold
from keras_transfer.features.engines import Engine, openvino_engine, openvino_network
from keras_transfer.serving.models import (
    DEFAULT,
    WARMUP,
    Model,
    Signature,
    Tensors,
    warmup_requests,
)

__all__ = ["OpenVinoModel", "pays"]

logger = logging.getLogger("keras_transfer")

TOLERANCE = 1e-3
"""Largest difference from TensorFlow's of a probability; of a value, in spreads of its target."""


def pays() -> bool:
    """Whether OpenVINO is installed, and there is no GPU, which would be faster."""
    return bool(find_spec("openvino")) and not tf.config.list_physical_devices("GPU")


class OpenVinoModel(Model):
    """As ``Model``; ``serving_default`` is answered by way of ``decode`` and OpenVINO.

    Only exports of this package have the signatures ``decode`` and ``forward`` that this takes.
    Where they are missing, or OpenVINO answers the warm-up requests otherwise than TensorFlow
    does, by ``TOLERANCE`` or by a decision, TensorFlow answers.

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
        self._engine: Engine | None = None
        super().__init__(name, version, folder, trust=trust)
        if {"decode", "forward"} <= set(self.signatures):
            self._take_over()

    def _take_over(self) -> None:
        requests = [one for which, one in warmup_requests(self.folder / WARMUP) if which == DEFAULT]
        # super() without arguments does not work inside a comprehension.
        wanted = [super(OpenVinoModel, self).run(DEFAULT, one) for one in requests]
        try:
            self._answers = Answers.from_assets(self.folder / "assets")
            network = openvino_network(_joined(self.signatures["forward"], self._answers), chunk=1)
            self._engine = openvino_engine(network, "float32")
            found = [self.run(DEFAULT, one) for one in requests]
            apart = max(self._apart(*pair) for pair in zip(found, wanted, strict=True))
            changed = sum(self._changed(*pair) for pair in zip(found, wanted, strict=True))
        except Exception as error:  # whatever a converter does not know
            self._engine = None
            logger.warning("Warning: OpenVINO cannot run this model (%s); TensorFlow does.", error)
            return
        # Not `apart > TOLERANCE`, which would let NaN through.
        if not apart <= TOLERANCE:
            self._engine = None
            text = "Warning: OpenVINO's answers are %.2g from TensorFlow's, which answers."
            logger.warning(text, apart)
        elif changed:
            self._engine = None
            text = "Warning: OpenVINO decides otherwise than TensorFlow, which answers: %d times."
            logger.warning(text, changed)

    def _apart(self, found: Tensors, wanted: Tensors) -> float:
        """Largest difference of a probability, or of a value as ``TOLERANCE`` says."""
        ours, theirs = self._answers.read(found), self._answers.read(wanted)
        spreads = _spreads(self.folder, self._answers)
        apart = [
            float((np.abs(ours[name].scores - theirs[name].scores) / spread).max())
            for name, spread in spreads.items()
        ]
        for one, other in zip(ours.values(), theirs.values(), strict=True):
            if one.unknown is not None and other.unknown is not None:
                apart.append(float(np.abs(one.unknown - other.unknown).max()))
        return max(apart)

    def _changed(self, found: Tensors, wanted: Tensors) -> int:
        """Decisions by a threshold that differ; not those that are rounding."""
        ours, theirs = self._answers.read(found), self._answers.read(wanted)
        changed = 0
        for answer in self._answers:
            one, other = ours[answer.name], theirs[answer.name]
            if one.decided is not None and other.decided is not None:
                near = at_threshold(answer.output, other.scores)
                changed += int(((one.decided != other.decided) & ~near).sum())
        return changed

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Answer; see ``Model.run``."""
        if self._engine is None or signature != DEFAULT:
            return super().run(signature, inputs)
        (prepared,) = super().run("decode", inputs).values()
        joined = np.concatenate(list(self._engine([prepared.astype("float32")])))
        names, _, widths = zip(*self._answers.columns, strict=True)
        parts = np.split(joined, np.cumsum(widths)[:-1], axis=1)
        served = self._answers.served(dict(zip(names, parts, strict=True)))
        return {name: np.asarray(tensor) for name, tensor in served.items()}


def _spreads(folder: Path, answers: Answers) -> dict[str, Any]:
    """What differences are divided by, by output: 1, or (targets,) spreads of a regression."""
    found: dict[str, Any] = {answer.name: 1.0 for answer in answers}
    values = [answer.name for answer in answers if answer.activation == "linear"]
    if values:
        parity = json.loads((folder / METADATA).read_text(encoding="utf-8"))["parity"]
        parity = {LABEL: parity} if [*found] == [LABEL] else parity
        found |= {name: np.array(parity[name]["spread"]) for name in values}
    return found


def _joined(forward: Signature, answers: Answers) -> Any:
    """``forward`` as a function of one input and one output: the scores of all outputs, joined."""
    names = [tensor for _, tensor, _ in answers.columns]
    if len(names) == 1:
        return forward.function
    ((given, spec),) = forward.inputs.items()

    @tf.function(autograph=False)
    def joined(tensor: tf.Tensor) -> tf.Tensor:
        found = forward.function(**{given: tensor})
        return tf.concat([found[name] for name in names], axis=1)

    return joined.get_concrete_function(spec)
