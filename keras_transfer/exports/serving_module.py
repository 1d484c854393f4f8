"""A classifier as TensorFlow functions: bytes or pixels in, names and probabilities out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import yaml

from keras_transfer.exports.formats import Source
from keras_transfer.inputs.images import decode
from keras_transfer.networks.network import BACKBONE

__all__ = ["FEATURE", "ServingModule"]

FEATURE = "image_bytes"
"""Of a ``tf.train.Example``: the bytes of the image."""

Tensors = dict[str, tf.Tensor]

BYTES = tf.TensorSpec([None], tf.string, name="image_bytes")


class ServingModule(tf.Module):
    """All that a server can ask of a classifier.

    It holds the bare variables, not the Keras model: that would be saved as a second copy of
    every weight.

    Args:
        source: The classifier.
        assets: An empty folder for the files that are to travel inside.
    """

    def __init__(self, source: Source, assets: Path):
        super().__init__()
        model = source.model
        self.weights = [variable.value for variable in model.variables]
        self.size, self.how = source.loading.input.size, source.loading.input.resize
        self.names = tf.constant(source.classes, tf.string)
        self.assets = [tf.saved_model.Asset(str(file)) for file in _assets(source, assets)]
        self._scores = lambda pixels: tf.nn.softmax(
            model({"pixels": pixels}, training=False)["label"]
        )
        self._map, self._head = _halves(model)

    def signatures(self) -> dict[str, Callable]:
        """The functions by the names that requests give them."""
        size = self.size
        specs = {
            "serving_default": BYTES,
            "predict_pixels": tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels"),
            "embed": BYTES,
            "classify": tf.TensorSpec([None], tf.string, name="inputs"),
            "explain": BYTES,
            "decode": BYTES,
            "forward": tf.TensorSpec([None, size, size, 3], tf.float32, name="pixels"),
        }
        return {
            name: tf.function(getattr(self, f"_{name}"), autograph=False).get_concrete_function(
                spec
            )
            for name, spec in specs.items()
        }

    def _serving_default(self, image_bytes: tf.Tensor) -> Tensors:
        """Encoded images to names, best first, and probabilities."""
        return self._ranked(self._scores(self._decoded(image_bytes)))

    def _predict_pixels(self, pixels: tf.Tensor) -> Tensors:
        """(batch, height, width, 3) uint8 RGB pixels of any size to the same."""
        squares = self._each(lambda one: decode.resize(one, self.size, self.how), pixels)
        return self._ranked(self._scores(tf.cast(squares, tf.float32)))

    def _embed(self, image_bytes: tf.Tensor) -> Tensors:
        """The mean over all places of the backbone's last map, whatever the head pools by."""
        return {"features": tf.reduce_mean(self._map(self._decoded(image_bytes)), (1, 2))}

    def _classify(self, inputs: tf.Tensor) -> Tensors:
        """``tf.train.Example``, serialized, as the Classify API sends it."""
        found = tf.io.parse_example(inputs, {FEATURE: tf.io.FixedLenFeature([], tf.string)})
        ranked = self._serving_default(found[FEATURE])
        return {"classes": ranked["classes"], "scores": ranked["probabilities"]}

    def _explain(self, image_bytes: tf.Tensor) -> Tensors:
        """Where the network looked for its best class: Grad-CAM.

        The logit's gradient by each channel of the last map, averaged over all places, weighs the
        channel; what the weighted sum has above 0 is divided by its maximum (Selvaraju et al.,
        2017, https://arxiv.org/abs/1610.02391, equations 1 and 2).
        """
        maps = self._map(self._decoded(image_bytes))
        with tf.GradientTape() as tape:
            tape.watch(maps)
            logits = self._head(maps)
            best = tf.reduce_max(logits, axis=1)
        factors = tf.reduce_mean(tape.gradient(best, maps), (1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(factors * maps, axis=-1))
        heat = tf.math.divide_no_nan(heat, tf.reduce_max(heat, (1, 2), keepdims=True))
        return {"heat": heat, "classes": tf.gather(self.names, tf.argmax(logits, axis=1))}

    def _decode(self, image_bytes: tf.Tensor) -> Tensors:
        """Encoded images to what ``forward`` takes, for engines that cannot decode."""
        return {"pixels": tf.cast(self._decoded(image_bytes), tf.uint8)}

    def _forward(self, pixels: tf.Tensor) -> Tensors:
        """Pixels that are the right size already to probabilities by class index."""
        return {"scores": self._scores(pixels)}

    def _decoded(self, image_bytes: tf.Tensor) -> tf.Tensor:
        """(batch, size, size, 3) float32, made of bytes as training makes them."""

        def one(content: tf.Tensor) -> tf.Tensor:
            image = decode.image(content, self.size, self.how)
            return decode.resize(image, self.size, self.how)

        return tf.cast(self._each(one, image_bytes), tf.float32)

    def _each(self, function: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
        square = tf.TensorSpec([self.size, self.size, 3], tf.uint8)
        return tf.map_fn(function, batch, fn_output_signature=square)

    def _ranked(self, scores: tf.Tensor) -> Tensors:
        best = tf.math.top_k(scores, k=len(self.names))  # of equal ones, the first class first
        return {
            "classes": tf.gather(self.names, best.indices),
            "probabilities": best.values,
            "scores": scores,
        }


def _halves(model: keras.Model) -> tuple[Any, Any]:
    """From pixels to the backbone's last map, and from that to logits."""
    layers = model.layers
    place = next(n for n, layer in enumerate(layers) if layer.name == BACKBONE)
    last_map = layers[place + 1].input  # the head's first layers all take it
    ((pixels,), (logits,)) = (model.inputs, model.outputs)
    backbone, head = keras.Model(pixels, last_map), keras.Model(last_map, logits)
    return (lambda x: backbone(x, training=False)), (lambda x: head(x, training=False))


def _assets(source: Source, folder: Path) -> list[Path]:
    loading = source.loading
    texts = {
        "classes.json": json.dumps(source.classes, ensure_ascii=False, indent=1),
        "preprocessing.json": json.dumps(
            {
                "decoded": "RGB, EXIF orientation of a JPEG applied",
                "image_size": loading.input.size,
                "resize": loading.input.resize,
                "range": [0, 255],
                "normalising": "in the graph",
            },
            indent=1,
        ),
        "recipe.yaml": yaml.safe_dump(source.settings, sort_keys=False, allow_unicode=True),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
