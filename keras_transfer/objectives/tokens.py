"""A label for each word of a text: named entities."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from keras_transfer.errors import BadData, UnknownName
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.objectives.cells import Cells, only_column, refuse
from keras_transfer.objectives.combinations import combination_strata
from keras_transfer.objectives.tagging import names_of, to_iob2, types_of

if TYPE_CHECKING:
    import keras

    from keras_transfer.evaluation.prediction_files import Predicted
    from keras_transfer.evaluation.weighted import Metric

__all__ = ["TokenClassification"]

logger = logging.getLogger("keras_transfer")


class TokenClassification(Objective):
    """Each word has a label that marks entities (IOB2): softmax and cross-entropy per word.

    A word's label is that of its first token; the other tokens of the word, [CLS], [SEP] and
    padding have no part in the loss and in the metrics.

    True values are (n, words) int32 as ``encode`` gives them, -1 behind the last word, until
    ``runs.alignment`` puts them at the tokens of a tokeniser: (n, places) int32, where a place has

    * a label from 0 up at the first token of a word;
    * -2 - label at the first token of a further part of a word, such as the full stops in "U.S.",
      which the tokeniser takes for words: it counts in the loss only, as what continues the entity;
    * -1 where nothing counts.

    Places behind those of the tokens hold the labels of words that were cut off, which count as
    missed.
    """

    activation: ClassVar[str] = "softmax"
    per_token: ClassVar[bool] = True
    monitors: ClassVar[Mapping[str, str]] = {
        "val_loss": "min",
        "val_f1": "max",
        "val_accuracy": "max",
        "loss": "min",
        "f1": "max",
        "accuracy": "max",
    }
    headline: ClassVar[tuple[str, ...]] = ("f1", "precision", "recall", "accuracy")
    baseline_name: ClassVar[str] = "majority"

    type: Literal["tokens"] = "tokens"

    def encode(
        self,
        cells: Cells,
        *,
        names: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        missing: bool = False,
    ) -> Labels:
        """See ``Objective.encode``.

        A cell holds the labels of the words of a text, separated by blanks: O, B-PER, I-PER, ...
        IOB1, BIOES and BILOU become IOB2. The names are O, and B- and I- of each type by name.
        """
        column, texts = only_column(cells)
        refuse(texts == "", texts, keys, f"have no labels in the column {column}")
        shown = [f"row {row + 1}" for row in range(len(texts))] if keys is None else keys
        tags = to_iob2([text.split() for text in texts], shown)
        types = types_of(tag for row in tags for tag in row)
        if names is None:
            if not types:
                raise BadData(f"No word has another label than O in the column {column}.")
            names = names_of(types)
        elif unknown := [kind for kind in types if f"B-{kind}" not in names]:
            cure = UnknownName("type of entities", unknown[0], types_of(names))
            raise BadData(f"The data have a type that the model does not know. {cure}")
        number = {name: place for place, name in enumerate(names)}
        values = np.full((len(tags), max(map(len, tags), default=0)), -1, "int32")
        for row, labels in zip(values, tags, strict=True):
            row[: len(labels)] = [number[label] for label in labels]
        return Labels(values, tuple(names))

    def known(self, values: np.ndarray) -> np.ndarray:
        """(n,) bool: texts of which a word has a label."""
        return np.asarray((values >= 0).any(axis=1))

    def targets(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, places) int32, -1 where nothing counts in the loss, and (n,) float32 weights."""
        labels = np.where(values < -1, -2 - values, values)
        return labels.astype("int32"), self.known(values).astype("float32")

    def strata(self, labels: Labels) -> tuple[np.ndarray, tuple[str, ...]]:
        """Combinations of types of entities, rare ones merged: see ``combination_strata``."""
        types = types_of(labels.names)
        kinds = (labels.values + 1) // 2
        present = [(kinds == number).any(axis=1) for number in range(1, len(types) + 1)]
        return combination_strata(np.stack(present, axis=1).astype("float32"), types)

    def loss(self, train: Labels) -> keras.losses.Loss:
        """Cross-entropy of the words, each of which counts alike; see ``TokenCrossentropy``."""
        from keras_transfer.objectives.graph.tokens import TokenCrossentropy

        counted = (self.targets(train.values)[0] >= 0).sum(axis=1)
        return TokenCrossentropy(max(float(counted.mean()), 1.0) if len(counted) else 1.0)

    def training_metrics(self, names: Sequence[str]) -> list[Any]:
        """Accuracy of words and F1 of entities, of the tokeniser's words."""
        from keras_transfer.objectives.graph.tokens import EntityF1, TokenAccuracy

        return [TokenAccuracy(), EntityF1()]

    def scores(self, outputs: Any) -> Any:
        """(batch, tokens, labels) float32 softmax."""
        from keras import ops

        return ops.softmax(ops.cast(outputs, "float32"))

    def decide(self, scores: np.ndarray, decision: Mapping[str, Any] | None = None) -> np.ndarray:
        """(n, tokens) int: the most probable label of each token."""
        return np.asarray(scores).argmax(axis=-1)

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
        """See ``evaluation.entity_metrics.entity_metrics``; scores are (n, tokens, labels)."""
        from keras_transfer.evaluation.entity_metrics import entity_metrics

        return entity_metrics(true, scores, names, families=families)

    def baseline(self, train: Labels, true: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        """See ``evaluation.entity_metrics.majority_baseline``."""
        from keras_transfer.evaluation.entity_metrics import majority_baseline

        return majority_baseline(train.values, true, names)

    def summary(self, metrics: dict[str, Any]) -> str:
        """See ``evaluation.entity_metrics.entity_summary``."""
        from keras_transfer.evaluation.entity_metrics import entity_summary

        return entity_summary(metrics)

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
        """See ``evaluation.token_files.write_token_predictions``; a row for each known word."""
        from keras_transfer.evaluation.token_files import write_token_predictions

        places = np.full(scores.shape[:2], -1) if true is None else true
        write_token_predictions(path, keys, places, scores, names)

    def read_predictions(self, path: str | Path) -> Predicted:
        """See ``evaluation.token_files.read_token_predictions``."""
        from keras_transfer.evaluation.token_files import read_token_predictions

        return read_token_predictions(path)

    def paired_metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """F1 of entities and accuracy of words."""
        from keras_transfer.evaluation.entity_metrics import entity_metric

        return {name: entity_metric(name, len(names) // 2) for name in ("f1", "accuracy")}
