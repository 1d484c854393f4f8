"""Labels of words, put at the tokens of a tokeniser."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.objectives.base import Objective

__all__ = ["at_tokens"]

logger = logging.getLogger("keras_transfer")

_BATCH = 256
_WORD = re.compile("[^ ]+")


def at_tokens(samples: Samples, objectives: Mapping[str, Objective], bound: Any) -> Samples:
    """Put the labels of words at the first tokens of these words; others stay as they are.

    The tokeniser splits texts at blanks and at punctuation, so that a word of the data such as
    "U.S." may be several of its words: its label is for the first, and the others continue it.

    Args:
        samples: Texts whose words are separated by blanks; targets as the objectives encode them.
        objectives: By the name of the output.
        bound: The input, with its vocabulary.

    Returns:
        The same with targets as ``TokenClassification`` describes them.

    Raises:
        BadData: A text has other words than its labels; lists the examples.
    """
    targets = {
        name: _placed(samples, name, bound)
        for name, objective in objectives.items()
        if objective.per_token
    }
    return replace(samples, targets={**samples.targets, **targets}) if targets else samples


def _placed(samples: Samples, output: str, bound: Any) -> np.ndarray:
    """(n, places) int32."""
    import tensorflow as tf  # late: recipes are listed without it

    labels, texts = samples.targets[output], samples.store.raw(samples.rows)
    _check_words(samples, texts, labels)
    length, rows, cut = bound.settings.length, [], []
    located = bound.located
    if len(texts) > _BATCH:  # a graph is faster, and takes a second to trace
        signature = [tf.TensorSpec([None], tf.string)]
        located = tf.function(located, input_signature=signature, autograph=False)
    for start in range(0, len(texts), _BATCH):
        found = located(tf.constant(texts[start : start + _BATCH], tf.string))
        firsts, spans = found.starts.numpy(), found.spans.numpy()[:, :, 0]
        for place, text in enumerate(texts[start : start + _BATCH]):
            row, missed = _of_text(text, labels[start + place], firsts[place], spans[place])
            rows.append(row)
            cut.append(missed)
    longest = max(map(len, cut), default=0)
    placed = np.full((len(texts), length + longest), -1, "int32")
    for row, values, missed in zip(placed, rows, cut, strict=True):
        row[:length], row[length : length + len(missed)] = values, missed
    if longest:
        logger.warning(
            "Warning: length = %s cuts off %s of %s words, in %s of %s texts; in metrics they "
            "count as O, and their entities as missed. Raise input.length",
            *(length, f"{sum(map(len, cut)):,}", f"{(labels >= 0).sum():,}"),
            *(f"{sum(map(bool, map(len, cut))):,}", f"{len(texts):,}"),
        )
    numbers = (labels >= 0).sum()
    lost = numbers - (placed >= 0).sum()
    if lost:
        logger.warning(
            "Warning: %s of %s words have no token, such as characters without width; they are "
            "left out of training and metrics",
            *(f"{lost:,}", f"{numbers:,}"),
        )
    return placed


def _of_text(
    text: str, labels: np.ndarray, firsts: np.ndarray, begins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(length,) values at the tokens of a text, and the labels of words without a token."""
    starts = np.array([match.start() for match in _WORD.finditer(text)])
    tokens = np.flatnonzero(firsts)
    owners = np.searchsorted(starts, begins[tokens], "right") - 1
    first = np.r_[True, owners[1:] != owners[:-1]][: len(owners)]
    # Inside an entity, whatever follows its first word continues it: I- is one above B-.
    continued = labels[owners] + (labels[owners] % 2 == 1)
    values = np.full(len(firsts), -1, "int32")
    values[tokens] = np.where(first, labels[owners], -2 - continued)
    missed = np.setdiff1d(np.arange(len(starts)), owners)
    # Those before the last token have none of their own, such as characters without width.
    return values, labels[missed[missed > owners.max(initial=-1)]]


def _check_words(samples: Samples, texts: list[Any], labels: np.ndarray) -> None:
    numbers = [len(_WORD.findall(text)) for text in texts]
    wrong = [
        f"{key}: {words} words, {count} labels"
        for key, words, count in zip(
            samples.keys, numbers, (labels >= 0).sum(axis=1).tolist(), strict=True
        )
        if words != count
    ]
    if wrong:
        raise BadData(
            f"{len(wrong):,} of {len(texts):,} texts have another number of words than of labels; "
            "both are separated by blanks:",
            wrong,
        )
