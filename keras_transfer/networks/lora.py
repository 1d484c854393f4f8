"""LoRA: layers that learn a product of two small matrices instead of their kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

__all__ = ["enable_lora", "merge_lora", "merged_lora", "takes_lora", "without_lora"]

MATRICES = ("lora_kernel_a", "lora_kernel_b")
"""Keras's names of A and B."""


class _Adapter(NamedTuple):
    layer: Any
    rank: int
    alpha: float
    matrices: tuple[keras.Variable, keras.Variable]


def takes_lora(layer: keras.Layer) -> bool:
    """Whether Keras can add LoRA to the kernel of a layer: Dense, EinsumDense, Conv1D to 3D."""
    has_kernel = hasattr(layer, "enable_lora") and hasattr(layer, "_kernel")
    # Keras refuses these: the sum of kernel and product would not meet the constraint.
    return has_kernel and getattr(layer, "kernel_constraint", None) is None


def enable_lora(backbone: keras.Model, rank: int, alpha: float | None, seed: int) -> None:
    """Replace the training of kernels by that of two matrices: W + alpha / rank * A B.

    LoRA of Hu et al. 2022, arXiv:2106.09685. A has the shape of W, with ``rank`` as its last
    axis; B is (rank, last axis of W), and 0 at the start, so the outputs do not change.

    Args:
        backbone: After ``freeze`` with ``trainable="lora"``, which marks the kernels.
        rank: 1 or more.
        alpha: Factor of the product, times ``rank``; None: the rank, so that the factor is 1.
        seed: Of the random values in A (Keras's he_uniform).
    """
    random = np.random.default_rng(seed)
    for layer in backbone._flatten_layers(include_self=False):
        if not takes_lora(layer) or not layer._kernel.trainable:
            continue
        # A seed for each layer: layers of one shape would all have the same matrix.
        start = keras.initializers.HeUniform(seed=int(random.integers(2**31)))
        layer.enable_lora(rank, lora_alpha=alpha, a_initializer=start)


def merge_lora(model: keras.Model) -> None:
    """Add the products to the kernels and remove the matrices; the outputs do not change."""
    for adapter in _adapters(model):
        adapter.layer._kernel.assign(_sum(adapter))
        _remove(adapter)


@contextmanager
def merged_lora(model: keras.Model) -> Iterator[None]:
    """Merge inside the context, as for a file; afterwards kernels and matrices are as before."""
    kernels = [
        # A copy: `value` is the variable itself.
        (adapter.layer._kernel, keras.ops.copy(adapter.layer._kernel.value), _sum(adapter))
        for adapter in _adapters(model)
    ]
    for kernel, _, merged in kernels:
        kernel.assign(merged)
    try:
        with without_lora(model):
            yield
    finally:
        for kernel, before, _ in kernels:
            kernel.assign(before)


@contextmanager
def without_lora(model: keras.Model) -> Iterator[None]:
    """Take the matrices away inside the context; kernels that it assigns stay."""
    adapters = _adapters(model)
    for adapter in adapters:
        _remove(adapter)
    try:
        yield
    finally:
        for adapter in adapters:
            _put_back(adapter)


def _adapters(model: keras.Model) -> list[_Adapter]:
    return [
        _Adapter(
            layer,
            layer.lora_rank,
            layer.lora_alpha,
            (layer.lora_kernel_a, layer.lora_kernel_b),
        )
        for layer in model._flatten_layers()
        if takes_lora(layer) and layer.lora_enabled
    ]


def _sum(adapter: _Adapter) -> Any:
    """The kernel with its product, as Keras computes it, but in float32 in every precision."""
    a, b = adapter.matrices
    return adapter.layer._kernel + adapter.alpha / adapter.rank * keras.ops.matmul(a, b)


def _remove(adapter: _Adapter) -> None:
    layer = adapter.layer
    for name, matrix in zip(MATRICES, adapter.matrices, strict=True):
        # Not `del`, with which Keras collects garbage for each variable.
        layer._untrack_variable(matrix)
        setattr(layer, name, None)
    # The rank too: it is saved with the layer, which would then be loaded with new matrices.
    layer.lora_enabled, layer.lora_rank, layer.lora_alpha = False, None, None


def _put_back(adapter: _Adapter) -> None:
    layer = adapter.layer
    layer._tracker.unlock()
    for name, matrix in zip(MATRICES, adapter.matrices, strict=True):
        setattr(layer, name, matrix)
    layer._tracker.lock()
    layer.lora_enabled, layer.lora_rank, layer.lora_alpha = True, adapter.rank, adapter.alpha
