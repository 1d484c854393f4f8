"""What losses of domains share: which rows are of which domain, and means over them.

A batch may lack a domain, as validation batches do. Every function here is finite then, and so is
its gradient.
"""

from __future__ import annotations

from typing import Any

from keras import ops

__all__ = ["contrast", "entropy", "for_each", "members", "per_row"]


def members(domain: Any) -> tuple[Any, Any]:
    """(batch,) 1 for rows of the source and of the target, of (batch, 1) ids 0 and 1."""
    target = ops.reshape(domain, (-1,))
    return 1 - target, target


def per_row(values: Any, chosen: Any) -> Any:
    """(batch,) losses whose mean over the batch is the weighted mean of ``values``.

    Args:
        values: (batch,) losses.
        chosen: (batch,) weights of 1 or more for rows that count, else 0; where none does, all
            losses are 0.
    """
    rows = ops.cast(ops.shape(values)[0], values.dtype)
    return values * chosen * rows / ops.maximum(ops.sum(chosen), 1)


def contrast(domain: Any) -> Any:
    """(batch,) 1 / n for each row of the source and -1 / m for each of the target.

    All are 0 where a domain is missing.
    """
    source, target = members(domain)
    n, m = ops.sum(source), ops.sum(target)
    both = ops.minimum(ops.minimum(n, m), 1)
    return both * (source / ops.maximum(n, 1) - target / ops.maximum(m, 1))


def for_each(statistic: Any, domain: Any) -> Any:
    """(batch,) of a () statistic of the batch, so that their mean is the statistic."""
    return statistic * ops.ones_like(ops.reshape(domain, (-1,)))


def entropy(logits: Any) -> Any:
    """(batch,) ``-sum p log p`` of the probabilities of (batch, classes) logits, 0 to log K."""
    # Not log(softmax): it is -inf where a share is rounded to 0.
    return -ops.sum(ops.softmax(logits, axis=-1) * ops.log_softmax(logits, axis=-1), axis=-1)
