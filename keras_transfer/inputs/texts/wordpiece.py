"""WordPiece tokens of texts, with the operations of TensorFlow itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.inputs.texts.vocabulary import CONTINUATION, Vocabulary
from keras_transfer.inputs.texts.words import Words, WordSplitter, constant

__all__ = ["MAX_CHARACTERS", "Located", "WordPiece"]

MAX_CHARACTERS = 100  # longer words are unknown
_CODE_POINTS = 0x110000
_LENGTH = 1 << 32  # a length and a token in one int64, of which the largest is the longest
_PLAIN, _CONTINUED = 0, 1  # roots of the trie: pieces that begin a word, and those with ##


class Located(NamedTuple):
    """Tokens of a batch of texts, and the words that they are of.

    Attributes:
        inputs: Network inputs, as a ``WordPiece`` gives them.
        starts: (batch, length) bool: the first token of each word.
        spans: (batch, length, 2) int32: where the token's word begins in the text, and ends, in
            characters (code points); 0 at [CLS], [SEP] and [PAD].
    """

    inputs: dict[str, tf.Tensor]
    starts: tf.Tensor
    spans: tf.Tensor


class WordPiece:
    """BERT's tokenisation: words, and of each word the longest piece first (Wu et al. 2016).

    A SavedModel that contains it loads with TensorFlow alone. Give it batches: a call costs
    about as much for 1 text as for 32.

    Args:
        vocabulary: The tokens.
        lowercase: Whether texts become lower case and lose their accents, as for an uncased BERT.
        length: Tokens of each text, including [CLS] and [SEP]; longer texts are truncated.
    """

    special_tokens = 2
    """Number of [CLS] and [SEP] in each sequence."""

    def __init__(self, vocabulary: Vocabulary, *, lowercase: bool = True, length: int = 128):
        self.vocabulary, self.length = vocabulary, length
        self.split = WordSplitter(lowercase)
        keys, nodes, tokens = _trie(vocabulary.tokens)
        self._keys, self._nodes, self._tokens = constant(keys), constant(nodes), constant(tokens)

    def __call__(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turn texts into network inputs.

        Args:
            texts: () or (batch,) string.

        Returns:
            ``token_ids``, (length,) or (batch, length) int32: [CLS] tokens [SEP] [PAD] ...; and
            ``padding_mask``, the same shape, bool, true for all tokens but [PAD].
        """
        texts = tf.convert_to_tensor(texts)
        if texts.shape.rank == 0:
            return {name: values[0] for name, values in self(texts[tf.newaxis]).items()}
        return self.pack(self.tokenize(texts, self.length - self.special_tokens))

    def located(self, texts: tf.Tensor) -> Located:
        """Give the network inputs of (batch,) texts, and where the words of tokens lie."""
        count, room = tf.size(texts, tf.int64), self.length - self.special_tokens
        words = _first(self.split(texts, spans=True), room, count)
        ids, owners = self._pieces(words)
        rows = tf.gather(words.texts, owners)

        def of_texts(values: tf.Tensor) -> tf.RaggedTensor:
            return tf.RaggedTensor.from_value_rowids(values, rows, nrows=count, validate=False)

        def at_tokens(values: tf.Tensor) -> tf.Tensor:
            """(batch, length, k) int32 of (t, k), with 0 at [CLS], [SEP] and [PAD]."""
            inner = of_texts(values)[:, :room].to_tensor(shape=[None, room, values.shape[1]])
            return tf.pad(inner, [[0, 0], [1, 1], [0, 0]])

        begins = tf.concat([tf.fill([1], True), owners[1:] != owners[:-1]], 0)[: tf.size(owners)]
        starts = at_tokens(tf.cast(begins, tf.int32)[:, tf.newaxis])[:, :, 0] > 0
        spans = at_tokens(tf.gather(words.spans, owners))
        return Located(self.pack(of_texts(ids)), starts, spans)

    def tokenize(self, texts: tf.Tensor, limit: int | None = None) -> tf.RaggedTensor:
        """Give the tokens of (batch,) texts: (batch, None) int32, without [CLS] and [SEP].

        Args:
            texts: (batch,) string.
            limit: Number of tokens of each text that are needed; the rest may be missing.
        """
        words = self.split(texts)
        count = tf.size(texts, tf.int64)
        if limit is not None:
            words = _first(words, limit, count)
        ids, owners = self._pieces(words)
        return tf.RaggedTensor.from_value_rowids(
            ids, tf.gather(words.texts, owners), nrows=count, validate=False
        )

    def pack(self, tokens: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        """Put [CLS] and [SEP] around (batch, None) tokens, cut and pad them to ``length``."""
        special = self.vocabulary.special
        count = tokens.nrows()
        cut = tokens[:, : self.length - 2]

        def column(token: str) -> tf.Tensor:
            return tf.fill([count, 1], tf.constant(special[token], tf.int32))

        packed = tf.concat([column("[CLS]"), cut, column("[SEP]")], axis=1)
        ids = packed.to_tensor(special["[PAD]"], shape=(None, self.length))
        mask = tf.sequence_mask(packed.row_lengths(), self.length)
        return {"token_ids": ids, "padding_mask": mask}

    def _pieces(self, words: Words) -> tuple[tf.Tensor, tf.Tensor]:
        """(t,) int32 tokens of all words, and (t,) the number of the word of each."""
        starts, ends = words.splits[:-1], words.splits[1:]
        owners = tf.repeat(tf.range(tf.size(starts, tf.int64)), ends - starts)
        places = tf.range(tf.size(owners, tf.int64))
        begins = tf.gather(starts, owners) == places
        roots = tf.where(begins, tf.constant(_PLAIN, tf.int64), _CONTINUED)
        left = tf.gather(ends, owners) - places  # characters to the end of the word
        longest = self._longest(words.characters, roots, left)
        marked, known = _chained(longest // _LENGTH, starts, ends)
        known = tf.gather(known, owners)
        chosen = tf.where(tf.where(known, marked, begins))[:, 0]  # an unknown word is one token
        tokens = tf.cast(longest % _LENGTH, tf.int32)
        tokens = tf.where(known, tokens, self.vocabulary.special["[UNK]"])
        return tf.gather(tokens, chosen), tf.gather(owners, chosen)

    def _longest(self, characters: tf.Tensor, roots: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        """(c,) int64: from each character on, the longest piece: length * 2**32 + token, or 0.

        All places walk down the trie side by side, and fewer and fewer of them get on.
        """
        characters = tf.cast(characters, tf.int64)
        places = tf.range(tf.size(characters, tf.int64))

        def walk(depth, places, nodes, longest):  # type: ignore[no-untyped-def]
            # At the end of a word its last character is looked up in vain: node -1 has no child.
            inside = tf.gather(left, places) > depth
            nodes = tf.where(inside, nodes, -1)
            next_character = tf.gather(characters, tf.where(inside, places + depth, places))
            nodes, found = self._children(nodes, next_character)
            found = tf.where(found)[:, 0]
            places, nodes = tf.gather(places, found), tf.gather(nodes, found)
            token = tf.gather(self._tokens, nodes)
            piece = tf.where(token >= 0, (depth + 1) * _LENGTH + token, 0)
            longest = tf.tensor_scatter_nd_max(longest, places[:, tf.newaxis], piece)
            return depth + 1, places, nodes, longest

        *_, longest = tf.while_loop(
            lambda depth, places, *_: tf.size(places) > 0,
            walk,
            (tf.constant(0, tf.int64), places, roots, tf.zeros_like(places)),
            shape_invariants=(tf.TensorShape([]), *[tf.TensorShape([None])] * 3),
        )
        return longest

    def _children(self, nodes: tf.Tensor, characters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(m,) int64 child of each node by its character, and (m,) bool whether there is one."""
        keys = nodes * _CODE_POINTS + characters
        # What tf.searchsorted calls, without the ten operations on shapes around it.
        places = tf.raw_ops.LowerBound(
            sorted_inputs=self._keys[tf.newaxis], values=keys[tf.newaxis]
        )
        places = tf.minimum(places[0], tf.size(self._keys) - 1)
        return tf.gather(self._nodes, places), tf.gather(self._keys, places) == keys


def _first(words: Words, limit: int, texts: tf.Tensor) -> Words:
    """Keep the first words of each text: each is a token or more, and the rest would be cut."""
    number = tf.range(tf.size(words.texts, tf.int64))
    begins = tf.searchsorted(words.texts, tf.range(texts), out_type=tf.int64)
    kept = number - tf.gather(begins, words.texts) < limit
    lengths = words.splits[1:] - words.splits[:-1]
    characters = tf.boolean_mask(words.characters, tf.repeat(kept, lengths))
    ends = tf.cumsum(tf.boolean_mask(lengths, kept))
    splits = tf.concat([tf.zeros([1], tf.int64), ends], 0)
    spans = None if words.spans is None else tf.boolean_mask(words.spans, kept)
    return Words(characters, splits, tf.boolean_mask(words.texts, kept), spans)


def _chained(lengths: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Walk through the pieces of all words in parallel.

    Args:
        lengths: (c,) int64 characters of the piece that begins at each place, 0 for none.
        starts: (w,) int64 first place of each word.
        ends: (w,) int64 place behind each word.

    Returns:
        (c,) bool where pieces begin, and (w,) bool whether a word is made of pieces to its end.
    """
    words = tf.where(ends - starts <= MAX_CHARACTERS)[:, 0]

    def follow(places, words, marked, known):  # type: ignore[no-untyped-def]
        marked = tf.tensor_scatter_nd_update(
            marked, places[:, tf.newaxis], tf.ones_like(places, tf.bool)
        )
        length = tf.gather(lengths, places)
        places += length
        done = places == tf.gather(ends, words)
        known = tf.tensor_scatter_nd_update(known, words[:, tf.newaxis], done)
        on = tf.where((length > 0) & ~done)[:, 0]
        return tf.gather(places, on), tf.gather(words, on), marked, known

    *_, marked, known = tf.while_loop(
        lambda places, *_: tf.size(places) > 0,
        follow,
        (
            tf.gather(starts, words),
            words,
            tf.zeros_like(lengths, tf.bool),
            tf.zeros_like(starts, tf.bool),
        ),
        shape_invariants=(tf.TensorShape([None]),) * 4,
    )
    return marked, known


def _trie(tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrange pieces by their characters.

    Returns:
        (e,) int64 keys, ascending: node * 0x110000 + character; (e,) int64 nodes that these lead
        to; (nodes,) int64 tokens of the pieces that end in each node, -1 for none.
    """
    children: dict[int, int] = {}
    ends = [-1, -1]
    for number, token in enumerate(tokens):
        continued = token.startswith(CONTINUATION) and token != CONTINUATION
        node = _CONTINUED if continued else _PLAIN
        for character in token[len(CONTINUATION) :] if continued else token:
            key = node * _CODE_POINTS + ord(character)
            node = children.setdefault(key, len(ends))
            if node == len(ends):
                ends.append(-1)
        ends[node] = number
    keys = np.array(sorted(children), np.int64)
    nodes = np.array([children[key] for key in keys.tolist()], np.int64)
    return keys, nodes, np.array(ends, np.int64)
