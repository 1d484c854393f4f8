"""Pairs of texts as an input: packing, segments, checks; against KerasHub's packer."""

import json
from itertools import product

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from keras_transfer.data.texts import Texts, read_texts
from keras_transfer.inputs.base import Input
from keras_transfer.inputs.table import read_input
from keras_transfer.inputs.text_pair import TextPair
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary
from tests.inputs.test_preset_tokens import NASTY, folder  # noqa: F401

CLS, SEP, PAD, UNK = 2, 3, 0, 1
SMALL = Vocabulary((*SPECIAL_TOKENS, *"abcdefgh"))
"""a is 5, b is 6, ..."""


def bound(**more):
    return TextPair(**more).bind(SMALL)


def packed(pair, length):
    tensors = bound(length=length).prepare(tf.constant(pair))
    return {name: values.numpy().tolist() for name, values in tensors.items()}


def test_both_texts_stand_in_one_sequence():
    found = packed(["a b c", "d"], 9)

    assert found == {
        "token_ids": [CLS, 5, 6, 7, SEP, 8, SEP, PAD, PAD],
        "padding_mask": [True] * 7 + [False] * 2,
        "segment_ids": [0, 0, 0, 0, 0, 1, 1, 0, 0],
    }


@pytest.mark.parametrize(
    ("pair", "ids"),
    [
        (["a a a a a a", "b"], [CLS, 5, 5, 5, 5, SEP, 6, SEP]),
        (["a", "b b b b b b"], [CLS, 5, SEP, 6, 6, 6, 6, SEP]),
        (["a a a a", "b b b b"], [CLS, 5, 5, 5, SEP, 6, 6, SEP]),
        (["a a", "b b b b b"], [CLS, 5, 5, SEP, 6, 6, 6, SEP]),
        (["a a a", "b b b"], [CLS, 5, 5, 5, SEP, 6, 6, SEP]),
        (["", "b"], [CLS, SEP, 6, SEP, PAD, PAD, PAD, PAD]),
        (["", ""], [CLS, SEP, SEP, PAD, PAD, PAD, PAD, PAD]),
    ],
)
def test_the_longer_text_is_truncated_first(pair, ids):
    """With 8 tokens, 5 are left for both."""
    assert packed(pair, 8)["token_ids"] == ids


def bert_truncated(first, second, room):
    """``_truncate_seq_pair`` of google-research/bert."""
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1), st.integers(5, 14))
def test_truncation_is_that_of_bert(sizes, length):
    pairs = [[" ".join("a" * n), " ".join("b" * m)] for n, m in sizes]
    found = bound(length=length).prepare(tf.constant(pairs))

    for (n, m), ids, mask, segments in zip(
        sizes,
        *(found[name].numpy() for name in ("token_ids", "padding_mask", "segment_ids")),
        strict=True,
    ):
        first, second = bert_truncated([5] * n, [6] * m, length - 3)
        expected = [CLS, *first, SEP, *second, SEP]
        assert ids.tolist() == expected + [PAD] * (length - len(expected))
        assert mask.sum() == len(expected)
        ones = np.flatnonzero(segments).tolist()
        assert ones == [*range(len(first) + 2, len(expected))]


@pytest.mark.parametrize("length", [5, 24, 65, 128])
def test_real_and_nasty_pairs_are_packed_as_by_kerashub(folder, shared_data, length):  # noqa: F811
    keras_hub = pytest.importorskip("keras_hub")
    mrpc = shared_data / "text/mrpc"
    samples = read_texts(mrpc, ("#1 String", "#2 String"), label="Quality")
    every = samples.store.raw(samples.rows)[:: 1 if length == 65 else 40]
    # Of these characters KerasHub makes other tokens than BERT: it decomposes them by NFKD.
    real = [pair for pair in every if not {*"½´\x12…µ"} & {*"".join(pair)}]
    assert len(real) >= 0.99 * len(every)
    nasty = [*product(NASTY.values(), repeat=2)]
    ours = TextPair(length=length).bind(TextPair().of_preset(folder))
    tokenizer = keras_hub.models.BertTokenizer.from_preset(str(folder), strip_accents=True)
    packer = keras_hub.layers.MultiSegmentPacker(
        sequence_length=length,
        start_value=tokenizer.cls_token_id,
        end_value=tokenizer.sep_token_id,
        pad_value=tokenizer.pad_token_id,
        truncate="round_robin",
    )
    # KerasHub makes other tokens of some nasty texts: those of Hugging Face are ours.
    for pairs, tokens in ((real, tokenizer), (nasty, ours._tokenizer.tokenize)):
        ids, segments = packer(
            tuple(tokens(tf.constant(texts)) for texts in zip(*pairs, strict=True))
        )

        found = ours.prepare(tf.constant(pairs))

        np.testing.assert_array_equal(found["token_ids"], ids)
        np.testing.assert_array_equal(found["segment_ids"], segments)
        np.testing.assert_array_equal(found["padding_mask"], np.asarray(ids) != 0)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("segments", [True, False])
def test_tensors_are_as_the_spec_says(batch, segments):
    names = ["token_ids", "padding_mask", "segment_ids"][: 3 if segments else 2]
    pair = TextPair(length=6).bind_to(SMALL, 6, names)

    tensors = pair.prepare(tf.fill((*batch, 2), "a b"))

    assert [*tensors] == [*pair.spec] == names == pair.metadata["inputs"]
    for name, spec in pair.spec.items():
        assert tensors[name].shape == (*batch, *spec.shape)
        assert tensors[name].dtype == spec.dtype
    assert pair.raw == {"text_a": "string", "text_b": "string"}


@pytest.mark.parametrize("autograph", [True, False])
def test_it_is_the_same_in_a_graph_of_unknown_batch_size(autograph):
    pair = bound(length=7)
    signature = [tf.TensorSpec([None, 2], tf.string)]
    graph = tf.function(pair.prepare, input_signature=signature, autograph=autograph)
    raw = tf.constant([["a b", "c"], ["", "d d d d d d"], ["a a a a", "b b b"]])

    for name, values in pair.prepare(raw).items():
        np.testing.assert_array_equal(graph(raw)[name], values)


def test_a_vocabulary_is_learnt_from_both_texts():
    found = TextPair(vocabulary_size=60).fit([("alpha alpha", "beta"), ("gamma", "beta alpha")])
    assert {"alpha", "beta"} <= set(found.tokens)


def test_pairs_are_judged_together():
    texts = Texts([("a b", "c"), ("a", "b c"), ("a", " \t"), ("", "b"), ("a b", "c")])
    pair = TextPair(column="question", second_column="answer")

    found = [texts.check(row, pair.judge) for row in range(5)]

    assert [one.reason for one in found] == ["", "", "answer is empty", "question is empty", ""]
    digests = [one.digest for one in found]
    assert digests[0] == digests[4]
    assert len({*digests}) == 4  # "a b", "c" is not "a", "b c"


def test_the_record_says_how_pairs_are_packed(tmp_path):
    pair = TextPair(length=7)
    files = pair.bind(SMALL).write_assets(tmp_path)

    record = json.loads((tmp_path / "preprocessing.json").read_text())
    assert [file.name for file in files] == ["vocabulary.txt", "preprocessing.json"]
    assert "[CLS] text_a [SEP] text_b [SEP]" in record["tokens"]
    assert "segment_ids" in record
    assert pair.bind(pair.load(tmp_path)).metadata == pair.bind(SMALL).metadata


def test_the_survey_counts_pairs():
    """5 and 11 tokens with [CLS] and two [SEP]; of 2 * 8 positions 3 are padding."""
    found = bound(length=8).survey([("a", "b"), ("a a a a a a", "x b")])

    assert (found.longest, found.median, found.truncated) == (11, 8, 0.5)
    assert found.padding == pytest.approx(3 / 16)
    assert found.unknown == pytest.approx(1 / 10)


def test_settings(tmp_path):
    pair = TextPair()
    assert pair.text_columns == ("text_a", "text_b")
    assert isinstance(pair, Input)
    assert read_input(pair.model_dump()) == pair
    assert read_input({"type": "text_pair", "second_column": "b"}).text_columns == ("text_a", "b")
    with pytest.raises(ValidationError, match="both text_a; name two columns"):
        TextPair(second_column="TEXT_A")
    with pytest.raises(ValidationError, match="greater than or equal to 5"):
        TextPair(length=4)
