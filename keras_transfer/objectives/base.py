"""What every objective can do; the rest of the package knows objectives by this alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from keras_transfer.group import Group, Positive
from keras_transfer.objectives.cells import Cells

# Recipes are read without Keras and SciPy, so types and functions that need them come late.
if TYPE_CHECKING:
    import keras

    from keras_transfer.evaluation.paired import Aligned, Run
    from keras_transfer.evaluation.prediction_files import Predicted
    from keras_transfer.evaluation.weighted import Metric

__all__ = ["Labels", "Objective"]


class Labels(NamedTuple):
    """The true values of n examples.

    Attributes:
        values: Classification: (n,) int32 class, -1 where not known. Several labels: (n, labels)
            float32 0 or 1. Regression: (n, targets) float32 in the units of the data. NaN in a
            row that is not known. Labels of words: (n, places) int32; see ``tokens``.
        names: Names of the classes, labels or targets.
    """

    values: np.ndarray
    names: tuple[str, ...]


class Objective(Group, ABC):
    """What is predicted, with which loss, metrics, baseline and decision.

    A subclass adds ``type``, the literal that names it in files of settings.
    """

    if TYPE_CHECKING:
        type: str = ""  # a field of each subclass, with its one value as default

    activation: ClassVar[str]
    """From the network's outputs to scores: softmax, sigmoid or linear."""
    monitors: ClassVar[Mapping[str, str]]
    """Metrics of an epoch that can choose the best model: "min" or "max" by name."""
    per_token: ClassVar[bool] = False
    """Whether each token of a text has an output: (batch, tokens, units)."""
    loss_settings: ClassVar[tuple[str, ...]] = ()
    """Settings that change the loss of the val split, so that losses of two values differ."""
    headline: ClassVar[tuple[str, ...]]
    """The metrics that tables show, the most important one first."""
    baseline_name: ClassVar[str]
    """What ``baseline`` predicts: majority, prevalence or mean."""

    # ClassVar, or pydantic would make fields of these.
    section: ClassVar[str] = "Training"
    primary: ClassVar[str] = "type"

    weight: Positive = Field(
        1.0,
        description="factor of this loss if there are several objectives",
        # No option of its own: with one objective a factor has no meaning.
        json_schema_extra={"section": ""},
    )

    def reads(self, column: str = "label") -> tuple[str, ...]:
        """Names of the columns of a table that hold the true values.

        Args:
            column: The column of an objective whose settings name none.
        """
        return (column,)

    @abstractmethod
    def encode(
        self,
        cells: Cells,
        *,
        names: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        missing: bool = False,
    ) -> Labels:
        """Turn the text cells of a table into values.

        Args:
            cells: (n,) texts of exactly the columns that ``reads`` names.
            names: Names of a trained model's classes, labels or targets; None: from the cells.
            keys: (n,) name of each example in messages; None: its row number, from 1.
            missing: Whether empty cells are allowed; the values are not known then.

        Raises:
            BadData: Some cells cannot be used; lists their rows.
            BadConfiguration: ``cells`` has other columns than the settings name.
        """

    @abstractmethod
    def known(self, values: np.ndarray) -> np.ndarray:
        """(n,) bool: the examples whose values are known; the others have no loss."""

    @abstractmethod
    def targets(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the loss is given: values without gaps, and (n,) float32 weights 0 or 1.

        A weight of 0 does not silence a NaN in the loss, so unknown values become 0.
        """

    @abstractmethod
    def strata(self, labels: Labels) -> tuple[np.ndarray, tuple[str, ...]]:
        """(n,) int32 stratum of each example, for dividing data fairly; names of the strata."""

    def units(self, names: Sequence[str]) -> int:
        """Width of the last Dense layer."""
        return len(names)

    def output(self, train: Labels) -> Callable[[keras.KerasTensor], keras.KerasTensor] | None:
        """What follows the last Dense layer: from and to (batch, units); None: nothing."""
        return None

    @abstractmethod
    def loss(self, train: Labels) -> keras.losses.Loss:
        """The loss of outputs (before any activation), for the labels of the train split."""

    @abstractmethod
    def training_metrics(self, names: Sequence[str]) -> list[Any]:
        """New weighted metrics for ``compile``: Keras names or ``keras.metrics.Metric``."""

    @abstractmethod
    def scores(self, outputs: Any) -> Any:
        """Apply the activation inside a graph.

        Args:
            outputs: (batch, units) tensor, as the network gives it.

        Returns:
            (batch, units) float32 tensor of probabilities, or of values in the data's units.
        """

    def decision(
        self, true: np.ndarray, scores: np.ndarray, names: Sequence[str] = ()
    ) -> dict[str, Any]:
        """What is fitted on the val split to decide by, as JSON can hold it; empty: nothing.

        Args:
            true: True values as in ``Labels.values``.
            scores: (n, units) float, as ``scores`` gives them.
            names: Names of the units.
        """
        return {}

    @abstractmethod
    def decide(self, scores: np.ndarray, decision: Mapping[str, Any] | None = None) -> np.ndarray:
        """What follows from (n, units) scores: classes, labels as bool, or the values."""

    @abstractmethod
    def evaluate(
        self,
        true: np.ndarray,
        scores: np.ndarray,
        names: Sequence[str],
        *,
        decision: Mapping[str, Any] | None = None,
        train: Labels | None = None,
        families: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Compute metrics, JSON-ready; None where one is not defined.

        Args:
            true: True values as in ``Labels.values``; unknown ones are left out.
            scores: (n, units) float, as ``scores`` gives them.
            names: Names of the units.
            decision: As ``decision`` gives it; None: the defaults.
            train: Labels of the train split, where known.
            families: (n,) copies of an example have the same value; intervals resample them
                together.

        Raises:
            BadData: No true value is known.
            CheckFailed: A score is NaN or infinite.
        """

    @abstractmethod
    def baseline(self, train: Labels, true: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        """Metrics of the best prediction that looks at no input, fitted on the train split.

        Args:
            train: Labels of the train split.
            true: True values of n other examples, as in ``Labels.values``: (n,) or (n, units).
            names: Names of the units.
        """

    @abstractmethod
    def summary(self, metrics: dict[str, Any]) -> str:
        """Lay out what ``evaluate`` returns for people to read in a terminal."""

    @abstractmethod
    def write_predictions(
        self,
        path: str | Path,
        keys: Iterable[str],
        true: np.ndarray | None,
        scores: np.ndarray,
        names: Sequence[str],
        *,
        decision: Mapping[str, Any] | None = None,
    ) -> None:
        """Write ``predictions.csv``; ``true`` None: not known.

        Arrays are as for ``evaluate``: true values (n,) or (n, units), scores (n, units) float.
        """

    @abstractmethod
    def read_predictions(self, path: str | Path) -> Predicted:
        """Read what ``write_predictions`` wrote. Raises BadData."""

    @abstractmethod
    def paired_metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """The headline metrics of weighted examples, for ``evaluation.paired``."""

    def compare(
        self,
        aligned: Aligned,
        first: int,
        second: int,
        *,
        draws: int = 2000,
        seed: int = 0,
        families: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Compare two models of the same examples; differences are the second less the first.

        Args:
            aligned: As ``align_predictions`` gives it.
            first: Position of the reference model.
            second: Position of the other model.
            draws: Number of resamples of the bootstrap.
            seed: Seed of the draws.
            families: (n,) copies of an example have the same value; they are resampled together
                and count once in tests.

        Returns:
            The headline metrics as ``paired_differences`` gives them, and for each test of
            ``tests`` a list of results, with ``pair`` from 1 on: one for each pair of runs.
        """
        from keras_transfer.evaluation.comparing import distinct
        from keras_transfer.evaluation.paired import paired_differences

        metrics = self.paired_metrics(aligned.names)
        sampling: dict[str, Any] = {"draws": draws, "seed": seed, "families": families}
        report: dict[str, Any] = paired_differences(aligned, metrics, first, second, **sampling)
        places = distinct(aligned.true, families)
        # Series may have different numbers of runs; a test needs pairs.
        pairs = zip(aligned.models[first], aligned.models[second], strict=False)
        for pair, (a, b) in enumerate(pairs, 1):
            once = (a.of(places), b.of(places))
            for test, rows in self.tests(aligned.true[places], *once, aligned.names).items():
                report.setdefault(test, []).extend({"pair": pair, **row} for row in rows)
        return report

    def tests(
        self, true: np.ndarray, first: Run, second: Run, names: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Tests of two runs on the same examples, by the test's name; by default none.

        Args:
            true: (n,) int classes or (n, units) float.
            first: Predictions of the reference run.
            second: Predictions of the other run.
            names: Names of the units.
        """
        return {}
