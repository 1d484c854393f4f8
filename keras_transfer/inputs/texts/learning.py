"""Learning a WordPiece vocabulary from texts."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from keras_transfer.inputs.texts.vocabulary import CONTINUATION, SPECIAL_TOKENS, Vocabulary

__all__ = ["count_words", "learn_vocabulary"]

_BATCH = 1024  # texts split at a time

Pair = tuple[str, str]


def count_words(texts: Sequence[str | bytes], *, lowercase: bool) -> Counter[str]:
    """Count the words of texts, split as the tokenisation splits them.

    Args:
        texts: Strings, or bytes in UTF-8.
        lowercase: Whether texts become lower case and lose their accents.
    """
    import tensorflow as tf

    from keras_transfer.inputs.texts.words import WordSplitter

    splitter = WordSplitter(lowercase)
    split = tf.function(splitter.strings, input_signature=[tf.TensorSpec([None], tf.string)])
    counts: Counter[str] = Counter()
    for start in range(0, len(texts), _BATCH):
        words = split(tf.constant(texts[start : start + _BATCH], tf.string))
        counts.update(word.decode() for word in words.numpy().tolist())
    return counts


def learn_vocabulary(counts: Mapping[str, int], size: int, *, min_count: int = 2) -> Vocabulary:
    """Learn pieces of words by merging the most frequent neighbours, as byte-pair encoding does.

    It begins with the special tokens and the characters, the most frequent first. Then the two
    neighbouring pieces that occur most often become one, again and again (Sennrich et al. 2016,
    https://arxiv.org/abs/1508.07909). Ties go to the pair that comes first in the alphabet, so
    that equal counts give equal vocabularies.

    Args:
        counts: How often each word occurs.
        size: Maximum number of tokens in the vocabulary, including special ones.
        min_count: Pairs that occur less often are not merged.

    Returns:
        At most ``size`` tokens; fewer where the texts have no more.
    """
    alphabet = _alphabet(counts)[: max(size - len(SPECIAL_TOKENS), 0)]
    tokens = dict.fromkeys((*SPECIAL_TOKENS, *alphabet))
    merges = _Merges(counts, set(alphabet), min_count)
    while len(tokens) < size and (merged := next(merges, None)):
        tokens[merged] = None
    return Vocabulary(tuple(tokens))


def _alphabet(counts: Mapping[str, int]) -> list[str]:
    """Characters as pieces, the most frequent first.

    Each stands for the beginning of a word, and for its continuation unless it always is a word
    of its own, as punctuation and ideographs are.
    """
    characters: Counter[str] = Counter()
    joined: set[str] = set()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
        if len(word) > 1:
            joined.update(word)
    pieces = []
    for character in sorted(characters, key=lambda c: (-characters[c], c)):
        pieces += [character, CONTINUATION + character] if character in joined else [character]
    return pieces


def _joined(pair: Pair) -> str:
    return pair[0] + pair[1].removeprefix(CONTINUATION)


class _Merges(Iterator[str]):
    """Successive merges of the most frequent pair of neighbours in all words."""

    def __init__(self, counts: Mapping[str, int], alphabet: set[str], min_count: int):
        self.min_count = min_count
        self.words: list[tuple[list[str], int]] = []
        self.pairs: Counter[Pair] = Counter()
        self.places: dict[Pair, set[int]] = defaultdict(set)
        for word, count in sorted(counts.items()):
            pieces = [word[0], *(CONTINUATION + character for character in word[1:])]
            if alphabet.issuperset(pieces):
                self._count(len(self.words), pieces, count)
                self.words.append((pieces, count))
        self.heap = [(-count, pair) for pair, count in self.pairs.items()]
        heapq.heapify(self.heap)

    def __next__(self) -> str:
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            current = self.pairs[pair]
            if current >= self.min_count and -count == current:
                self._merge(pair)
                return _joined(pair)
            if self.min_count <= current < -count:  # fewer since it was put on the heap
                heapq.heappush(self.heap, (-current, pair))
        raise StopIteration

    def _merge(self, pair: Pair) -> None:
        new = _joined(pair)
        grown: set[Pair] = set()
        for number in self.places.pop(pair):
            pieces, count = self.words[number]
            merged = _merged(pieces, pair)
            self._count(number, pieces, -count)
            self._count(number, merged, count)
            self.words[number] = (merged, count)
            grown.update(other for other in pairwise(merged) if new in other)
        for other in grown:
            heapq.heappush(self.heap, (-self.pairs[other], other))

    def _count(self, number: int, pieces: list[str], count: int) -> None:
        """Add or remove a word's pairs."""
        for pair in pairwise(pieces):
            self.pairs[pair] += count
            if count > 0:
                self.places[pair].add(number)


def _merged(pieces: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for piece in pieces:
        # Never the same piece twice: in "aaa" the first two are merged, not all three.
        if merged and (merged[-1], piece) == pair:
            merged[-1] = _joined(pair)
        else:
            merged.append(piece)
    return merged
