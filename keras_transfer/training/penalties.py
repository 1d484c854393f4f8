"""Weight penalties during training, and a model whose validation loss excludes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_transfer.networks.network import Network
from keras_transfer.training.replicas import counted_examples

__all__ = ["PenaltyFreeValidation", "l2_sp", "origin"]

Origin = dict[int, Any]


def origin(network: Network) -> Origin:
    """Copy the initial kernels of the backbones, for ``l2_sp``."""
    return {
        # A copy: `value` is the variable itself, which training changes.
        id(kernel): keras.ops.copy(kernel.value)
        for backbone in network.backbones.values()
        for kernel in _kernels(backbone)
    }


@contextmanager
def l2_sp(network: Network, start: Origin, *, backbone: float, head: float) -> Iterator[None]:
    """Pull the backbone to its pretrained weights and the head to 0, for models compiled inside.

    Adds ``backbone / 2 * |w - w0|^2 + head / 2 * |v|^2`` to the loss, over the kernels w of the
    backbone and v of the head that train; w0 are the pretrained ones. L2-SP of Li, Grandvalet and
    Davoine 2018, arXiv:1802.01483, equation 3 (alpha, beta); as there, biases and normalisation
    are left out.

    Args:
        network: The network in training.
        start: Result of ``origin`` before training.
        backbone: alpha; 0 for no pull.
        head: beta; 0 for no pull.
    """
    inside = {id(var) for part in network.backbones.values() for var in part.variables}
    kept = []
    for kernel in _kernels(network.model):
        pretrained = id(kernel) in inside
        strength = backbone if pretrained else head
        if strength and kernel.trainable:
            kept.append((kernel, kernel.regularizer))
            target = start[id(kernel)] if pretrained else 0.0
            # Set on the variable, so that the layer's own setting is saved with the model.
            kernel.regularizer = _Pull(kernel.regularizer, strength, target)
    try:
        yield
    finally:
        for kernel, before in kept:
            kernel.regularizer = before


def _kernels(model: keras.Model) -> list[Any]:
    """Weights with two or more axes, of convolutions and dense layers."""
    return [weight for weight in model.weights if len(weight.shape) > 1]


class PenaltyFreeValidation(keras.Model):
    """A model whose validation loss excludes the weight penalties.

    With them, a stage whose weights are pulled anywhere could not be compared with one whose are
    not, and the best epoch would be the one with the smallest weights.
    """

    _judging = 0  # a count: the replicas of a MirroredStrategy take turns inside test_step

    def train_step(self, data: Any) -> Any:
        """Like Keras's; batch normalisation over several devices leaves out the padding."""
        *_, weights = keras.utils.unpack_x_y_sample_weight(data)
        with counted_examples(weights):
            return super().train_step(data)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Like Keras's, by what one device gets of a batch, not by the mean: a mask has none."""
        strategy = self._distribute_strategy
        if strategy is not None and iterator is not None:
            _, _, given = next(iter(iterator))
            data_batch = keras.tree.map_structure(
                lambda values: strategy.experimental_local_results(values)[0], next(given)
            )
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    @property
    def losses(self) -> list[Any]:
        """Penalties added to the loss."""
        return [] if self._judging else super().losses

    def test_step(self, *data: Any) -> Any:
        """Like Keras's, without the penalties."""
        self._judging += 1
        try:
            return super().test_step(*data)
        finally:
            self._judging -= 1


class _Pull(keras.regularizers.Regularizer):
    """A layer's own penalty, and half of a strength times the squared distance to a target."""

    def __init__(self, own: Callable[[Any], Any] | None, strength: float, target: Any):
        self.own, self.strength, self.target = own, strength, target

    def __call__(self, x: Any) -> Any:
        own = self.own(x) if self.own is not None else 0.0
        return own + self.strength / 2 * keras.ops.sum(keras.ops.square(x - self.target))
