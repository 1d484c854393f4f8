"""Files of predictions of labels of words.

A row for each word: ``path`` (of its sentence), ``word`` (its number in the sentence, from 1),
``true``, ``predicted``, and ``p:NAME`` for each label. A word that the length of the input cut off
has empty probabilities and counts as O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_transfer.errors import BadData
from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.evaluation.predictions import PREFIX, read_rows, write_rows

__all__ = ["read_token_predictions", "write_token_predictions"]

FIRST = ["path", "word", "true", "predicted"]


def write_token_predictions(
    path: str | Path,
    keys: Iterable[str],
    true: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
) -> None:
    """Write a row for each word that has a label.

    Args:
        path: File to write, CSV in UTF-8; an old one is replaced, by a complete file only.
        keys: (n,) names of the sentences.
        true: (n, places) int labels at the first tokens of words, negative elsewhere; places
            behind those of the tokens are of words that were cut off.
        scores: (n, tokens, labels) float.
        names: Names of the labels.
    """
    write_rows(
        Path(path), [*FIRST, *(PREFIX + name for name in names)], _rows(keys, true, scores, names)
    )


def _rows(
    keys: Iterable[str], true: np.ndarray, scores: np.ndarray, names: Sequence[str]
) -> Iterable[list[str | float]]:
    tokens = scores.shape[1]
    for key, labels, chances in zip(keys, true, scores, strict=True):
        for number, place in enumerate(np.flatnonzero(labels >= 0).tolist(), start=1):
            row = chances[place].tolist() if place < tokens else [""] * len(names)
            predicted = names[int(np.argmax(chances[place]))] if place < tokens else names[0]
            yield [key, number, names[labels[place]], predicted, *row]


def read_token_predictions(path: str | Path) -> Predicted:
    """Read what :func:`write_token_predictions` wrote.

    Returns:
        Predictions with a row for each sentence: true and decided labels (n, words) int, -1 behind
        the last word; scores (n, words, labels), of words that were cut off 1 for O.

    Raises:
        BadData: The file is not there, is no such file, or has rows that are not.
    """
    header, rows = read_rows(path)
    names = tuple(name.removeprefix(PREFIX) for name in header[len(FIRST) :])
    named = all(name.startswith(PREFIX) for name in header[len(FIRST) :])
    if header[: len(FIRST)] != FIRST or not names or not named:
        raise BadData(
            f"{path} is no file of predictions of this objective: its columns should be "
            f"{', '.join(FIRST)} and {PREFIX}NAME for each label; found {', '.join(header[:6])}."
        )
    sentences: dict[str, list[tuple[int, int, list[float]]]] = {}
    wrong, index = [], {name: number for number, name in enumerate(names)}
    for place, row in enumerate(rows, start=1):
        try:
            key, _, true, decided, *cells = row
            values = [float(cell) for cell in cells] if any(cells) else _outside(len(names))
            if len(values) != len(names):
                raise ValueError
            sentences.setdefault(key, []).append((index[true], index[decided], values))
        except (KeyError, ValueError):
            wrong.append(f"row {place}: {','.join(row)[:80]}")
    if wrong:
        raise BadData(f"{path} has rows that are no predictions over its columns:", wrong)
    return _padded(sentences, names)


def _outside(labels: int) -> list[float]:
    return [1.0, *[0.0] * (labels - 1)]


def _padded(
    sentences: dict[str, list[tuple[int, int, list[float]]]], names: tuple[str, ...]
) -> Predicted:
    longest = max(map(len, sentences.values()), default=0)
    true, decided = (np.full((len(sentences), longest), -1) for _ in range(2))
    scores = np.zeros((len(sentences), longest, len(names)))
    for place, words in enumerate(sentences.values()):
        columns = zip(*words, strict=True)
        true[place, : len(words)], decided[place, : len(words)] = next(columns), next(columns)
        scores[place, : len(words)] = next(columns)
    return Predicted(np.array([*sentences], object), true, scores, decided, names)
