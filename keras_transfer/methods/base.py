"""Base class of methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from keras_transfer.group import Group

__all__ = ["Method"]


class Method(Group):
    """A way to train: base of all methods. ``type`` is its name in YAML.

    Attributes:
        outputs: Names of the outputs that the method adds to a network while it trains.
    """

    outputs: ClassVar[Sequence[str]] = ()
