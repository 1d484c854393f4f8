"""Random numbers of Keras's preprocessing layers that follow from a key alone."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["StatelessSeedGenerator", "fold_in"]

fold_in = tf.random.experimental.stateless_fold_in


class StatelessSeedGenerator(keras.random.SeedGenerator):
    """Seed generator for a layer's ``seed=``; the same key gives the same sequence of seeds.

    Keras's own generator counts its calls in a variable: inside tf.data, where several batches
    are made at a time, who draws what then depends on timing.

    Args:
        key: (2,) int32.
    """

    def __init__(self, key: tf.Tensor):
        self.key, self.asked = key, 0  # no variable, so that it can be made inside a graph

    def next(self, ordered: bool = True) -> Any:
        """Another seed: (2,) int32."""
        self.asked += 1
        return fold_in(self.key, self.asked)
