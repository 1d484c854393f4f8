"""Base classes of inputs: settings that are fitted and bound to their state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from keras_transfer.group import Group

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_transfer.data.samples import CheckResult

__all__ = ["BoundInput", "Input"]

Tensors = Mapping[str, "tf.Tensor"]


class BoundInput(Protocol):
    """Conversion of raw examples to tensors, for training, predict, exports and serving."""

    @property
    def raw(self) -> Mapping[str, str]:
        """Names and dtypes of the inputs of a served request, e.g. {"text": "string"}."""
        ...

    @property
    def spec(self) -> Mapping[str, tf.TensorSpec]:
        """Output of ``prepare`` for a single example: shapes without batch, and dtypes."""
        ...

    @property
    def metadata(self) -> dict[str, Any]:
        """JSON-ready settings and hashes: two inputs with the same give the same tensors.

        Part of every feature-cache key and of ``export.json``.
        """
        ...

    def prepare(self, raw: tf.Tensor) -> Tensors:
        """Make tensors of () or (batch,) raw examples, inside a graph.

        Where ``raw`` has several names, an example is (names,) of these.
        """
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
        """Whether ``collate`` does the conversion, which is faster for batches."""
        ...

    @property
    def groups(self) -> bool:
        """Whether batches of training hold sequences of similar length."""
        ...

    def load(self, raw: tf.Tensor) -> Tensors:
        """Prepare a single raw example for ``collate``."""
        ...

    def collate(self, batch: Tensors) -> Tensors:
        """Turn a batch of outputs of ``load`` or ``prepare`` into network inputs."""
        ...

    def augment(self, batch: Tensors, seeds: tf.Tensor) -> Tensors:
        """Change a batch at random, as training does.

        Args:
            batch: Output of ``collate``.
            seeds: (batch, 2) int32; they determine all random changes.
        """
        ...

    def check(self, raw: bytes, name: str) -> CheckResult:
        """Check an example before training: digest, and the reason if it is invalid."""
        ...

    def example(self) -> Mapping[str, bytes]:
        """Make up a raw example by the names of ``raw``, the same each time, for warm-up."""
        ...

    def write_assets(self, folder: Path) -> list[Path]:
        """Write the files that say how examples are prepared, for exports; returns them."""
        ...


class Input(Group, ABC):
    """The settings of an input; recipes hold it. A subclass adds its name, ``type``."""

    primary: ClassVar[str] = "type"

    learns: ClassVar[bool] = False
    """Whether ``fit`` learns anything."""

    def fit(self, examples: Sequence[Any]) -> Any:
        """Fit on the raw examples of the train split; the state for ``bind``, or None."""
        return None

    def save(self, state: Any, folder: Path) -> None:
        """Write the state of ``fit`` to a run directory; nothing if it is None."""

    def load(self, folder: Path) -> Any:
        """Read what ``save`` wrote."""
        return None

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Names of the columns of texts, two for pairs; none where the examples are no texts."""
        return ()

    @abstractmethod
    def bind(self, state: Any, size: int) -> BoundInput:
        """Combine the settings with the fitted state.

        Args:
            state: State from ``fit``.
            size: First axis of the network's input: side of an image in pixels, tokens of a text.
        """

    def bind_to(self, state: Any, size: int, inputs: Collection[str]) -> BoundInput:
        """Combine as ``bind`` does, for a network that may take less than an input can give.

        Args:
            state: State from ``fit``.
            size: As for ``bind``.
            inputs: Names of the network's inputs.
        """
        return self.bind(state, size)

    @abstractmethod
    def judge(self, raw: bytes, name: str = "") -> CheckResult:
        """See ``BoundInput.check``; nothing needs to be learnt for it."""
