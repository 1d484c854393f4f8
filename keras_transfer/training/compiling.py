"""Join a stage's model with its loss, its metrics and its optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_transfer.training.penalties import PenaltyFreeValidation
from keras_transfer.training.replicas import loss_scaling
from keras_transfer.training.terms import Term, compile_arguments

__all__ = ["compile_stage"]


def compile_stage(
    model: keras.Model,
    terms: Sequence[Term],
    optimizer: keras.optimizers.Optimizer,
    precision: str = "float32",
) -> keras.Model:
    """A compiled model that shares all layers with another one, which is never compiled itself.

    Args:
        model: From inputs to outputs by name.
        terms: Terms of the loss.
        optimizer: New.
        precision: Of training steps; layers have it within ``computing_in``.
    """
    # Keras wants a target for each output.
    known = {term.output for term in terms}
    outputs = {name: output for name, output in model.output.items() if name in known}
    fitted = PenaltyFreeValidation(model.input, outputs)
    fitted.dtype_policy = precision  # under mixed_float16, Keras scales the loss
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    if several and precision == "mixed_float16":
        optimizer = loss_scaling(optimizer)
    fitted.compile(
        optimizer,
        jit_compile="auto" if _compiles(terms) else False,
        **compile_arguments(terms),
    )
    # Built now: variables that do not exist yet cannot be restored.
    fitted.optimizer.build(fitted.trainable_variables)
    return fitted


def _compiles(terms: Sequence[Term]) -> bool:
    """Whether XLA may compile a step with these metrics."""
    # XLA compiles for long, and its convolutions are slower than oneDNN's on a CPU.
    if not tf.config.list_logical_devices("GPU"):
        return False
    return all(getattr(metric, "compiles", True) for term in terms for metric in term.metrics)
