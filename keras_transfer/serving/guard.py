"""What the images and texts of a request cost, and whether a model may see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.inference import CLASSIFY, REGRESS
from keras_transfer.serving.limits import CHECKS, COSTS, Limits
from keras_transfer.serving.models import Signature, Tensors

__all__ = ["checked", "objects", "pixels"]

EXAMPLES = (CLASSIFY, REGRESS)
"""Methods of signatures whose strings are ``tf.train.Example``, whichever API asks them."""


def pixels(row: Signature, inputs: Tensors, limits: Limits) -> np.ndarray:
    """(examples,) pixels that will be decoded for each example, by the headers of its images.

    Args:
        row: The signature that is asked.
        inputs: By name.
        limits: An image that is over its own costs nothing, for it is refused undecoded.

    Raises:
        RequestError: What should be a ``tf.train.Example`` is none.
    """
    found = np.zeros(max((len(one) for one in inputs.values() if one.ndim), default=1), "int64")
    for name, array in inputs.items():
        if array.dtype == object:
            costs = [_cost(name, row, content, limits) for content in array.ravel()]
            rows = len(array) if array.ndim else 1
            found[:rows] += np.array(costs, "int64").reshape(rows, -1).sum(1)
    return found


def _cost(name: str, row: Signature, content: bytes, limits: Limits) -> int:
    return sum(COSTS[one](found, limits) for one, found in _contents(name, row, content))


def checked(row: Signature, inputs: Tensors, limits: Limits) -> Tensors:
    """The inputs as a model can decode them.

    Args:
        row: The signature that is asked.
        inputs: By name.
        limits: What they may cost.

    Raises:
        RequestError: One of them is refused.
    """
    return {name: _checked(name, row, array, limits) for name, array in inputs.items()}


def _checked(name: str, row: Signature, array: np.ndarray, limits: Limits) -> np.ndarray:
    change = _changer(name, row)
    if array.dtype != object or change is None:
        return array
    return objects([change(content, limits) for content in array.ravel()]).reshape(array.shape)


def _changer(name: str, row: Signature) -> Callable[[bytes, Limits], bytes] | None:
    if name in CHECKS:
        return CHECKS[name]
    return _checked_example if row.method in EXAMPLES else None


def _contents(name: str, row: Signature, content: bytes) -> Iterator[tuple[str, bytes]]:
    """What a string holds that is checked: itself, or features of a ``tf.train.Example``."""
    if name in CHECKS:
        yield name, content
    elif row.method in EXAMPLES:
        features = _example(content).features.feature
        for one in sorted(CHECKS.keys() & features.keys()):
            yield from ((one, value) for value in features[one].bytes_list.value)


def _checked_example(content: bytes, limits: Limits) -> bytes:
    example = _example(content)
    for name in CHECKS.keys() & example.features.feature.keys():
        values = example.features.feature[name].bytes_list.value
        values[:] = [CHECKS[name](value, limits) for value in values]
    return example.SerializeToString()


def _example(content: bytes) -> tf.train.Example:
    try:
        return tf.train.Example.FromString(content)
    except DecodeError:
        raise RequestError("INVALID_ARGUMENT", "A string is no tf.train.Example") from None


def objects(contents: list[bytes]) -> np.ndarray:
    """(n,) object: numpy would cut zeros off the ends of bytes of a type of its own."""
    found = np.empty(len(contents), object)
    found[:] = contents
    return found
