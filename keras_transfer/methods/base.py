"""Base class of methods, and the terms that a method adds to the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from keras_transfer.errors import BadConfiguration
from keras_transfer.group import Group

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_transfer.data.samples import Samples
    from keras_transfer.objectives.base import Labels, Objective

__all__ = ["ExtraTerm", "HeadTensors", "Method"]


class ExtraTerm(NamedTuple):
    """A term of the loss that a method adds.

    Attributes:
        output: Name of the network's output, and of the target.
        loss: Compares them.
        weight: Factor of the term.
        values: Maps samples to (n, ...) targets.
    """

    output: str
    loss: Any
    weight: float
    values: Callable[[Samples], np.ndarray]


class HeadTensors(NamedTuple):
    """Tensors of a network's head, from which a method makes outputs of its own.

    Attributes:
        pooled: (batch, d), what the head takes.
        features: (batch, channels), what its last layer takes, before any dropout.
        logits: (batch, units) float32, before any activation.
        steps: Number of batches of all stages, for schedules.
    """

    pooled: keras.KerasTensor
    features: keras.KerasTensor
    logits: keras.KerasTensor
    steps: int


class Method(Group):
    """A way to train: base of all methods. ``type`` is its name in YAML.

    Attributes:
        outputs: Names of the outputs that the method adds to a network while it trains.
        baseline_name: Name of the same network trained without the method, among the baselines.
        example: How it may be given in a word; "": by its name.
    """

    if TYPE_CHECKING:  # a field of each subclass
        type: str

    outputs: ClassVar[Sequence[str]] = ()
    baseline_name: ClassVar[str] = "supervised"
    example: ClassVar[str] = ""

    @classmethod
    def from_word(cls, more: str) -> dict[str, Any]:
        """Read what follows the colon where the method is given in a word.

        Args:
            more: Such as "10" of ``bagging:10``; "" where there is no colon.

        Raises:
            BadConfiguration: It is missing or wrong.
        """
        if more:
            name = cls.model_fields["type"].default
            raise BadConfiguration(f"method = {f'{name}:{more}'!r}: nothing follows {name}.")
        return {}

    @property
    def label_weight(self) -> float:
        """Factor of the objective's own term."""
        return 1.0

    @property
    def plain_settings(self) -> dict[str, Any]:
        """Settings that differ in the same recipe without the method, as ``changed`` takes them."""
        # With one output less, Keras names the metrics differently; val_loss is always there.
        return {"method": "supervised", "monitor": "val_loss"}

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """The outputs that the method adds, by name; here each is the logits.

        Args:
            head: Tensors of the network's head.
        """
        return dict.fromkeys(self.outputs, head.logits)

    def extra_terms(
        self, output: str, objective: Objective, train: Labels
    ) -> tuple[ExtraTerm, ...]:
        """The terms that the method adds to the loss, one for each of its outputs.

        Args:
            output: Name of the objective's output.
            objective: The only objective.
            train: Labels of the train split.
        """
        return ()
