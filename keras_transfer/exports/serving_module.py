"""A network as TensorFlow functions: raw examples, pixels or tokens in, names and scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import yaml

from keras_transfer.config.upgrade import versioned
from keras_transfer.exports.answers import Tensors
from keras_transfer.exports.grad_cam import explained
from keras_transfer.exports.source import Source
from keras_transfer.exports.word_layout import served_words
from keras_transfer.inputs.images.bound import PIXELS
from keras_transfer.networks.cutting import output_of
from keras_transfer.networks.label_curves import uncalibrated
from keras_transfer.networks.learner_layers import differentiable
from keras_transfer.networks.network import BACKBONE, PADDING_MASK

__all__ = ["ServingModule"]

Function = Callable[..., Tensors]
Signature = tuple[Function, dict[str, tf.TensorSpec]]


class ServingModule(tf.Module):
    """All that a server can ask of a network.

    It holds the bare variables, not the Keras model: that would be saved as a second copy of
    every weight.

    Args:
        source: The network.
        assets: An empty folder for the files that are to travel inside.
    """

    def __init__(self, source: Source, assets: Path):
        super().__init__()
        self.weights = [variable.value for variable in source.model.variables]
        self.assets = [tf.saved_model.Asset(str(file)) for file in _assets(source, assets)]
        self._answers, self._input = source.answers, source.loading.input
        self._scores = source.scores
        self._model_inputs = source.inputs()
        self._features, self._head = _halves(source.model)
        backbone = source.model.get_layer(BACKBONE)
        self._prefix_tokens: int | None = getattr(backbone, "prefix_tokens", None)
        # Grad-CAM is defined on maps, and needs a gradient.
        self._explains = self._prefix_tokens is None and differentiable(source.model)

    def signatures(self) -> dict[str, Callable]:
        """The functions by the names that requests give them."""
        return {
            # No Python control flow depends on tensors here, so AutoGraph has nothing to convert.
            name: tf.function(function, autograph=False).get_concrete_function(**specs)
            for name, (function, specs) in self._functions().items()
        }

    def _functions(self) -> dict[str, Signature]:
        raw = {n: tf.TensorSpec([None], dtype, name=n) for n, dtype in self._input.raw.items()}
        found: dict[str, Signature] = {
            "serving_default": (self._serving_default, raw),
            "embed": (self._embed, raw),
            "forward": (self._forward, self._model_inputs),
        }
        if PIXELS in self._input.spec:
            pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, name=PIXELS)
            found["decode"] = (self._each, raw)
            if self._explains:
                found["explain"] = (self._explain, raw)
            found["predict_pixels"] = (self._serving_default, {PIXELS: pixels})
        if PADDING_MASK in self._input.spec:
            found["tokenize"] = (self._each, raw)
        if self._answers.classes is not None:
            # TensorFlow Serving's Classify API sends serialized examples by this name.
            examples = tf.TensorSpec([None], tf.string, name="inputs")
            found["classify"] = (self._classify, {"inputs": examples})
        return found

    def _serving_default(self, **raw: tf.Tensor) -> Tensors:
        """Raw examples, or (batch, height, width, 3) uint8 RGB pixels: ``Answers.served``."""
        if self._answers.of_words is not None:
            (texts,) = raw.values()
            located = self._input.located(texts)
            (scores,) = self._scores(located.inputs).values()
            return served_words(self._answers.of_words, scores, located)
        return self._answers.served(self._scores(self._prepared(raw)))

    def _embed(self, **raw: tf.Tensor) -> Tensors:
        """The mean of the backbone's last map, or sequence, whatever the head pools by."""
        inputs = self._prepared(raw)
        found = self._features(inputs)
        if self._prefix_tokens is not None:
            return {"features": tf.reduce_mean(found[:, self._prefix_tokens :], 1)}
        if PADDING_MASK not in inputs:
            return {"features": tf.reduce_mean(found, (1, 2))}
        mask = tf.cast(inputs[PADDING_MASK], found.dtype)[..., tf.newaxis]
        return {"features": tf.reduce_sum(found * mask, 1) / tf.reduce_sum(mask, 1)}

    def _classify(self, inputs: tf.Tensor) -> Tensors:
        """``tf.train.Example``, serialized, as the Classify API sends it."""
        features = {n: tf.io.FixedLenFeature([], dtype) for n, dtype in self._input.raw.items()}
        raw = tf.io.parse_example(inputs, features)
        ranked = self._serving_default(**raw)
        return {"classes": ranked["classes"], "scores": ranked["probabilities"]}

    def _explain(self, **raw: tf.Tensor) -> Tensors:
        """Where the network looked; see ``grad_cam.explained``."""
        maps = self._features(self._prepared(raw))
        found: Tensors = {}
        for answer in self._answers:
            heads = [partial(self._output, answer.name, before=before) for before in (0, 1)]
            found |= explained(answer, heads[0], heads[1], maps)
        return found

    def _output(self, name: str, maps: tf.Tensor, *, before: int) -> tf.Tensor:
        return self._head(maps)[before][name]

    def _forward(self, **inputs: tf.Tensor) -> Tensors:
        """Prepared inputs to scores by unit alone."""
        return self._answers.alone(self._scores(inputs))

    def _prepared(self, raw: Mapping[str, tf.Tensor]) -> Tensors:
        """Inputs of the network, made of raw examples as training makes them."""
        return self._input.collate(self._each(**raw))

    def _each(self, **raw: tf.Tensor) -> Tensors:
        """Raw examples to what ``forward`` takes, but for pixels, which are still uint8."""
        batch, *others = raw.values()
        if others:  # the texts of pairs, in the order of the input's names
            batch = tf.stack([raw[name] for name in self._input.raw], axis=1)
        if self._input.batched:
            return self._input.prepare(batch)
        # One by one, since encoded images have different sizes.
        return tf.map_fn(self._input.prepare, batch, fn_output_signature=self._input.spec)


def _halves(model: keras.Model) -> tuple[Any, Any]:
    """From inputs to the backbone's last map, or sequence; and from a map to outputs by name.

    These twice: as they are, and before curves of labels. The second function is None for texts,
    whose heads take the padding mask too.
    """
    if PADDING_MASK in model.input:
        backbone = keras.Model(model.input, model.get_layer(BACKBONE).output)
        return (lambda x: backbone(x, training=False)), None
    last_map = output_of(model, BACKBONE)
    backbone = keras.Model(model.input, last_map)
    # On a plateau of a curve of labels every gradient is 0, and heat maps need one.
    heads = [keras.Model(last_map, outputs) for outputs in (model.output, uncalibrated(model))]
    return (
        lambda x: backbone(x, training=False),
        lambda x: [head(x, training=False) for head in heads],
    )


def _assets(source: Source, folder: Path) -> list[Path]:
    recipe = folder / "recipe.yaml"
    settings = versioned(source.settings)
    recipe.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), "utf-8")
    inputs = source.loading.input.write_assets(folder)
    return [*source.answers.write_assets(folder), *inputs, recipe]
