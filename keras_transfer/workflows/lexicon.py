"""A lexicon for comparison: each word has the label that it has most often in the train split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_transfer.data.samples import Samples
from keras_transfer.objectives.base import Objective

__all__ = ["Lexicon", "lexicons"]


class Lexicon:
    """Labels of words, without their context.

    Args:
        texts: Sentences whose words are separated by blanks.
        labels: (n, words) int labels of these words, -1 behind the last one.
    """

    def __init__(self, texts: Sequence[str], labels: np.ndarray):
        counts: dict[str, Counter[int]] = defaultdict(Counter)
        for text, row in zip(texts, labels.tolist(), strict=True):
            for word, label in zip(_words(text), row, strict=False):
                counts[word][label] += 1
        # Of labels as frequent as others the lowest: O, where it is among them.
        self.labels = {
            word: min(found, key=lambda label: (-found[label], label))
            for word, found in counts.items()
        }

    def decide(self, texts: Iterable[str], width: int) -> np.ndarray:
        """(n, width) int labels; words that are not known, and places behind them, are 0: O."""
        rows = [[self.labels.get(word, 0) for word in _words(text)] for text in texts]
        decided = np.zeros((len(rows), width), int)
        for row, labels in zip(decided, rows, strict=True):
            row[: len(labels)] = labels
        return decided


def _words(text: str) -> list[str]:
    return [word for word in text.split(" ") if word]


def lexicons(objectives: Mapping[str, Objective], samples: Samples) -> dict[str, Any]:
    """Test metrics of the lexicon of the train split, if an objective labels words.

    Args:
        objectives: By the name of the output.
        samples: With all their splits, and labels by word.
    """
    from keras_transfer.evaluation.entity_metrics import tagged, tagged_metrics

    found = {}
    for name, objective in objectives.items():
        if objective.per_token:
            train, test = samples.split("train"), samples.split("test")
            texts, others = (split.store.raw(split.rows) for split in (train, test))
            true = test.targets[name]
            decided = Lexicon(texts, train.targets[name]).decide(others, true.shape[1])
            types = [label[2:] for label in samples.names[name][1::2]]
            found["lexicon"] = tagged_metrics(tagged(true, decided), types, intervals=False)
    return found
