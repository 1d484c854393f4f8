"""A head that predicts masked tokens, on a backbone for texts."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.network import BACKBONE, PADDING_MASK, Network

__all__ = ["HEAD_LAYERS", "TokenBias", "build_masked_network", "token_embedding"]

HEAD_LAYERS = ("masked_dense", "masked_norm", "masked_bias")
"""Names of the layers with weights of the head; the tied projection is the backbone's."""


@keras.saving.register_keras_serializable(package="keras_transfer")
class TokenBias(keras.layers.Layer):
    """Adds a number for each token of the vocabulary, which begins with 0."""

    def build(self, input_shape: Any) -> None:
        """Make the (tokens,) numbers."""
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """(..., tokens) floats to the same shape."""
        return inputs + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs."""
        return input_shape


def token_embedding(backbone: keras.Model, name: str) -> keras.layers.ReversibleEmbedding:
    """The embedding of tokens, whose transpose can project to the vocabulary.

    Args:
        backbone: As ``build_text_backbone`` makes it.
        name: Of the backbone, for messages.

    Raises:
        BadConfiguration: Tokens and positions are embedded by one layer.
    """
    layer = backbone.get_layer("embeddings_token")
    if not isinstance(layer, keras.layers.ReversibleEmbedding):
        raise BadConfiguration(
            f"backbone = {name} cannot be pretrained by masked words: its embedding has no reverse "
            "projection here. Use minilm, a bert_..., an electra_... or a transformer_... network."
        )
    return layer


def build_masked_network(backbone: keras.Model, output: str, positions: str, name: str) -> Network:
    """Join a text backbone and BERT's head for masked tokens (Devlin et al. 2019).

    At the masked places alone: ``logits = E norm(gelu(W h + b)) + c``, with the token embedding E
    of the backbone (tied weights). The layers of the backbone become layers of the network, and an
    identity of the name "backbone" stands behind them.

    Args:
        backbone: As ``build_text_backbone`` makes it.
        output: Name of the output.
        positions: Name of the input of places.
        name: Of the backbone, for messages.

    Returns:
        From the inputs of the backbone and (batch, p) int32 places to (batch, p, tokens) float32
        logits.

    Raises:
        BadConfiguration: The backbone has no embedding that can be reversed.
    """
    embedding = token_embedding(backbone, name)
    given: dict[str, keras.KerasTensor] = backbone.input
    places = keras.Input((None,), dtype="int32", name=positions)
    sequence = keras.layers.Identity(name=BACKBONE)(backbone.output)
    # Before the projection, which is as wide as the vocabulary: most places are not masked.
    x = ops.take_along_axis(sequence, ops.expand_dims(places, -1), axis=1)
    initial = keras.initializers.TruncatedNormal(stddev=0.02)
    x = keras.layers.Dense(embedding.output_dim, kernel_initializer=initial, name="masked_dense")(x)
    x = ops.gelu(x, approximate=True)
    x = keras.layers.LayerNormalization(epsilon=1e-12, name="masked_norm")(x)
    # float32 under any policy: a softmax over a vocabulary needs more than three digits.
    logits = TokenBias(dtype="float32", name="masked_bias")(embedding(x, reverse=True))
    model = keras.Model({**given, positions: places}, {output: logits}, name="masked_lm")
    return Network(model, model, {BACKBONE: backbone}, (PADDING_MASK,))
