"""What every sort of input can do: learn from training examples, and be bound to what it learnt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

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

    @property
    def augments(self) -> bool:
        """Whether ``augment`` changes anything."""
        ...

    @property
    def augment_settings(self) -> dict[str, Any]:
        """JSON-ready settings of ``augment``: part of the keys of augmented features."""
        ...

    @property
    def batched(self) -> bool:
        """Whether ``collate`` does the work, which is faster for a batch than one by one."""
        ...

    def load(self, raw: tf.Tensor) -> Tensors:
        """Prepare a raw example as far as it can be done one by one, for ``collate``."""
        ...

    def collate(self, batch: Tensors) -> Tensors:
        """Turn a batch of what ``load`` or ``prepare`` gave into the inputs of the network."""
        ...

    def augment(self, batch: Tensors, seeds: tf.Tensor) -> Tensors:
        """Change a batch at random, as training does.

        Args:
            batch: What ``collate`` gives.
            seeds: (batch, 2) int32, all that the result depends on besides.
        """
        ...

    def check(self, raw: bytes, name: str) -> CheckResult:
        """Look at an example before training: its digest, and why it cannot be used."""
        ...


class Input(Group, ABC):
    """The settings of an input; recipes hold it. A subclass adds its name, ``type``."""

    primary: ClassVar[str] = "type"

    learns: ClassVar[bool] = False
    """Whether ``fit`` learns anything."""

    def fit(self, examples: Sequence[Any]) -> Any:
        """Learn from the raw examples of the train split what ``bind`` needs; None if nothing."""
        return None

    def save(self, state: Any, folder: Path) -> None:
        """Write what ``fit`` learnt into files of a run directory; nothing where it is None."""

    def load(self, folder: Path) -> Any:
        """Read what ``save`` wrote."""
        return None

    @property
    def text_column(self) -> str:
        """Name of the column of texts; "" where the examples are no texts."""
        return ""

    @abstractmethod
    def bind(self, state: Any, size: int) -> BoundInput:
        """Join the settings with what was learnt.

        Args:
            state: What ``fit`` learnt.
            size: First axis of the network's input: side of an image in pixels, tokens of a text.
        """

    @abstractmethod
    def judge(self, raw: bytes, name: str = "") -> CheckResult:
        """See ``BoundInput.check``; nothing needs to be learnt for it."""
