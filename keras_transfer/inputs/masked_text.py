"""Texts some of whose words are masked: what a masked language model is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tensorflow as tf

from keras_transfer.inputs.text import BoundText
from keras_transfer.inputs.texts.masking import WordMasking, fixed_seeds

__all__ = ["MASKED", "MASK_POSITIONS", "MaskedText", "as_examples"]

MASKED = "masked"
"""Name of the output, and of its target, that predicts masked tokens."""

MASK_POSITIONS = "mask_positions"
"""Name of the input that says where they are."""

TARGETS, WEIGHTS = "masked_targets", "masked_weights"
"""What a masked batch carries until ``as_examples``."""

Tensors = dict[str, tf.Tensor]


@dataclass(frozen=True)
class MaskedText(BoundText):
    """Texts whose words are masked by ``augment``, otherwise in each epoch.

    Attributes:
        share: Share of the words that are masked.
    """

    share: float = 0.15

    augments = True

    @property
    def augment_settings(self) -> dict[str, Any]:
        """The share of masked words."""
        return {"mask_share": self.share}

    def augment(self, batch: Mapping[str, tf.Tensor], seeds: tf.Tensor) -> Tensors:
        """Mask words; adds ``mask_positions``, and what ``as_examples`` takes out again."""
        masked = self._masking(batch["token_ids"], seeds)
        return {
            **batch,
            "token_ids": masked.token_ids,
            MASK_POSITIONS: masked.positions,
            TARGETS: masked.targets,
            WEIGHTS: masked.weights,
        }

    def masked_alike(self, batch: Mapping[str, tf.Tensor]) -> Tensors:
        """Mask words by the text alone: the same in each epoch, batch and run."""
        return self.augment(batch, fixed_seeds(batch["token_ids"], batch["padding_mask"]))

    @cached_property
    def _masking(self) -> WordMasking:
        return WordMasking(self.vocabulary, self.share, self.settings.length)


def as_examples(inputs: Tensors, targets: Tensors, weights: Tensors) -> tuple:
    """Turn a masked batch into what a network with a masked output takes.

    Args:
        inputs: As ``MaskedText.augment`` gives them.
        targets: By output; not used, since the targets are tokens of the inputs.
        weights: {"masked": (batch,) float32} weights of the texts.

    Returns:
        Inputs, {"masked": (batch, p) int32} tokens, and {"masked": (batch, p) float32} weights: 0
        where nothing is masked.
    """
    rest = {name: values for name, values in inputs.items() if name not in (TARGETS, WEIGHTS)}
    weight = inputs[WEIGHTS] * weights[MASKED][:, tf.newaxis]
    return rest, {MASKED: inputs[TARGETS]}, {MASKED: weight}
