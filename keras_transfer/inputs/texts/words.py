"""Texts split into words as BERT does it, with the operations of TensorFlow itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.inputs.texts import characters as table
from keras_transfer.inputs.texts.characters import character_table

__all__ = ["WordSplitter", "Words", "constant"]

_SIGMA, _FINAL_SIGMA = 0x3A3, 0x3C2


class Words(NamedTuple):
    """The w words of a batch of texts, in order.

    Attributes:
        characters: (c,) int32 code points of all words.
        splits: (w + 1,) int64: word i has the characters from splits[i] to splits[i + 1].
        texts: (w,) int64: number of the text that each word lies in, ascending.
        spans: (w, 2) int32: number of the first character of each word in its text, and of the
            one behind its last; None unless they are asked for.
    """

    characters: tf.Tensor
    splits: tf.Tensor
    texts: tf.Tensor
    spans: tf.Tensor | None = None


class _Characters(NamedTuple):
    """Characters of a batch of texts: code points, number of their text, flags in the text.

    ``spans`` are (c, 2) places in the text that each is made of, or None.
    """

    codes: tf.Tensor
    texts: tf.Tensor
    flags: tf.Tensor
    spans: tf.Tensor | None = None

    def each(self, change: Callable[[tf.Tensor], tf.Tensor]) -> _Characters:
        """All of them changed alike."""
        return _Characters(*(None if values is None else change(values) for values in self))

    def where(self, mask: tf.Tensor) -> _Characters:
        return self.each(lambda values: tf.boolean_mask(values, mask))


class WordSplitter:
    """BERT's basic tokenisation: equal to its ``tokenization.py``, character by character.

    It uses no lookup resource, so that any graph may call it, in ``tf.data`` and in exports.

    Args:
        lowercase: Whether texts become lower case and lose their accents.
    """

    def __init__(self, lowercase: bool):
        page_of, pages, expansions = character_table(lowercase)
        self.lowercase = lowercase
        self._page_of, self._pages = constant(page_of), constant(pages)
        self._expansions = constant(expansions)

    def __call__(self, texts: tf.Tensor, spans: bool = False) -> Words:
        """Split texts.

        Args:
            texts: (n,) string. Bytes that are not UTF-8 are left out.
            spans: Whether to say where in its text each word lies.

        Returns:
            The words of all texts.
        """
        codes = tf.strings.unicode_decode(texts, "UTF-8", errors="ignore")
        flags = self._look_up(codes.values)[:, 0]
        places = _places(codes, flags) if spans else None
        words = _Characters(codes.values, codes.value_rowids(), flags, places)
        words = words.where(flags & table.DROP == 0)
        if self.lowercase:
            words = self._decomposed(_with_final_sigmas(words))
        return self._grouped(words)

    def strings(self, texts: tf.Tensor) -> tf.Tensor:
        """Give the words of (n,) texts as (w,) strings, one text after the other."""
        words = self(texts)
        ragged = tf.RaggedTensor.from_row_splits(words.characters, words.splits, validate=False)
        return tf.strings.unicode_encode(ragged, "UTF-8")

    def _look_up(self, codes: tf.Tensor) -> tf.Tensor:
        """(c, 3) rows of the table of (c,) characters."""
        pages = tf.gather(self._page_of, codes // table.PAGE)
        return tf.gather(self._pages, pages * table.PAGE + codes % table.PAGE)

    def _decomposed(self, found: _Characters) -> _Characters:
        """Lower case, NFD, no accents."""
        _, counts, changes = tf.unstack(self._look_up(found.codes), axis=1)
        source = tf.repeat(tf.range(tf.size(counts)), counts)
        place = tf.range(tf.size(source)) - tf.gather(tf.cumsum(counts, exclusive=True), source)
        change = tf.gather(changes, source)
        several = tf.gather(counts, source) > 1
        codes = tf.where(
            several,
            tf.gather(self._expansions, tf.where(several, change + place, 0)),
            tf.gather(found.codes, source) + change,
        )
        expanded = found.each(lambda values: tf.gather(values, source))._replace(codes=codes)
        own = self._look_up(codes)[:, 0]
        return _without_accents(expanded, own)

    def _grouped(self, found: _Characters) -> Words:
        own = self._look_up(found.codes)[:, 0]
        space = found.flags & table.SPACE > 0
        alone = (found.flags & table.CJK > 0) | (own & table.PUNCTUATION > 0)
        other_text = _changes(found.texts)
        begins = ~space & (other_text | _before(space, True) | alone | _before(alone, True))
        begins = tf.boolean_mask(begins, ~space)
        kept = found.where(~space)
        starts = tf.where(begins)[:, 0]
        end = tf.size(kept.codes, tf.int64)
        splits = tf.concat([starts, [end]], 0)
        spans = kept.spans
        if spans is not None:
            spans = tf.stack(
                [tf.gather(spans[:, 0], starts), tf.gather(spans[:, 1], splits[1:] - 1)], axis=1
            )
        return Words(kept.codes, splits, tf.gather(kept.texts, starts), spans)


def constant(values: np.ndarray) -> tf.Tensor:
    """A tensor outside of any graph, so that graphs capture it instead of holding copies."""
    with tf.init_scope(), tf.device("CPU"):
        return tf.constant(values)


def _before(values: tf.Tensor, first: bool) -> tf.Tensor:
    """(c,) the value before each one."""
    return tf.concat([tf.fill([1], first), values], 0)[:-1]


def _changes(values: tf.Tensor) -> tf.Tensor:
    """(c,) bool: whether each value differs from the one before; true for the first."""
    return tf.concat([tf.fill([1], True), values[1:] != values[:-1]], 0)[: tf.size(values)]


def _with_final_sigmas(found: _Characters) -> _Characters:
    """Write a capital sigma that ends a word as a final one, as ``str.lower`` does."""
    sigma = found.codes == _SIGMA
    codes = tf.cond(
        tf.reduce_any(sigma),
        lambda: tf.where(sigma & _ends_a_word(found), _FINAL_SIGMA, found.codes),
        lambda: found.codes,
    )
    return found._replace(codes=codes)


def _ends_a_word(found: _Characters) -> tf.Tensor:
    """(c,) bool: a cased letter comes before and none after, ignorable characters aside."""
    counted = found.flags & table.IGNORABLE == 0
    kept = found.where(counted)
    number = tf.cumsum(tf.cast(counted, tf.int32))  # of the counted characters up to each

    def cased(place: tf.Tensor) -> tf.Tensor:
        inside = (place >= 0) & (place < tf.size(kept.codes))
        place = tf.clip_by_value(place, 0, tf.size(kept.codes) - 1)
        same = tf.gather(kept.texts, place) == found.texts
        return inside & same & (tf.gather(kept.flags, place) & table.CASED > 0)

    own = tf.cast(counted, tf.int32)
    return cased(number - own - 1) & ~cased(number)


def _without_accents(found: _Characters, own: tf.Tensor) -> _Characters:
    """Drop nonspacing marks, and order others behind a character as NFD does.

    NFD sorts marks by their combining class. Few marks of a class above 0 are spacing ones, so
    that most batches skip the sorting.
    """
    ranks = own // (1 << table.CLASS_SHIFT)
    groups = tf.cumsum(tf.cast((ranks == 0) | _changes(found.texts), tf.int64))
    spacing = own & table.MARK == 0
    kept, ranks = found.where(spacing), tf.boolean_mask(ranks, spacing)
    order = tf.boolean_mask(groups, spacing) * 256 + tf.cast(ranks, tf.int64)

    given = [values for values in kept if values is not None]

    def ordered() -> list[tf.Tensor]:
        places = tf.argsort(order, stable=True)
        return [tf.gather(values, places) for values in given]

    return _Characters(*tf.cond(tf.reduce_any(ranks > 0), ordered, lambda: given))


def _places(codes: tf.RaggedTensor, flags: tf.Tensor) -> tf.Tensor:
    """(c, 2) int32: place of each character in its text, and the one behind it and its marks.

    Accents are left out of words in lower case, but belong to their place in the text.
    """
    texts, starts = codes.value_rowids(), codes.row_starts()
    places = tf.range(tf.size(texts, tf.int64)) - tf.gather(starts, texts)
    mark = flags & table.MARK > 0
    groups = tf.cumsum(tf.cast(~mark | _changes(texts), tf.int64)) - 1
    marks = tf.math.segment_sum(tf.cast(mark, tf.int64), groups)
    behind = places + 1 + tf.where(mark, tf.zeros_like(places), tf.gather(marks, groups))
    return tf.cast(tf.stack([places, behind], axis=1), tf.int32)
