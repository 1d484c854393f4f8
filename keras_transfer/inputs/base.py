"""What every sort of input can do: learn from training examples, and be bound to what it learnt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from keras_transfer.group import Group

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_transfer.data.samples import CheckResult

__all__ = ["BoundInput", "Input"]

Tensors = Mapping[str, "tf.Tensor"]


class BoundInput(Protocol):
    """How raw examples become tensors: one function for training, predict, exports and serving."""

    @property
    def raw(self) -> tuple[str, str]:
        """Name and dtype of what a served request carries, such as ("text", "string")."""
        ...

    @property
    def spec(self) -> Mapping[str, tf.TensorSpec]:
        """What ``prepare`` makes of a single example: shapes without the batch, and dtypes."""
        ...

    @property
    def metadata(self) -> dict[str, Any]:
        """JSON-ready settings and hashes: two inputs with the same give the same tensors.

        Part of every feature-cache key and of ``export.json``.
        """
        ...

    def prepare(self, raw: tf.Tensor) -> Tensors:
        """Make tensors of () or (batch,) raw examples, inside a graph."""
        ...

    def augment(self, batch: Tensors, seeds: tf.Tensor) -> Tensors:
        """Change a batch at random, as training does.

        Args:
            batch: What ``prepare`` gives for (batch,) examples.
            seeds: (batch, 2) int32, all that the result depends on besides.
        """
        ...

    def check(self, raw: bytes, name: str) -> CheckResult:
        """Look at an example before training: its digest, and why it cannot be used."""
        ...

    def guard(self, raw: bytes, limit: int) -> None:
        """Refuse a served example that would take too much memory, before it is decoded.

        Args:
            raw: The example.
            limit: Pixels, characters, ...: in the input's own unit.

        Raises:
            BadData: It is too large.
        """
        ...


class Input(Group, ABC):
    """The settings of an input; recipes hold it."""

    def fit(self, examples: Sequence[Any]) -> Any:
        """Learn from the raw examples of the train split what ``bind`` needs; None if nothing."""
        return None

    def save(self, state: Any, folder: Path) -> None:
        """Write what ``fit`` learnt into files of a run directory; nothing where it is None."""

    def load(self, folder: Path) -> Any:
        """Read what ``save`` wrote."""
        return None

    @abstractmethod
    def bind(self, state: Any) -> BoundInput:
        """Join the settings with what was learnt."""
