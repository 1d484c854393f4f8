"""Labels of words at the tokens of a tokeniser, by hand and for any words."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.data.samples import Samples
from keras_transfer.data.texts import Texts
from keras_transfer.errors import BadData
from keras_transfer.inputs.text import Text
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary
from keras_transfer.objectives.tokens import TokenClassification
from keras_transfer.runs.alignment import at_tokens

TOKENS = ("he", "lives", "in", "the", "u", "s", ".", "new", "york", "un", "##aff", "##able", "-")
VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *TOKENS), True)


def placed(texts, tags, length=12):
    samples = Samples.of(Texts(texts), [""], texts, np.zeros(len(texts)))
    labels = TokenClassification().encode({"label": tags})
    samples = samples.__class__(**{**vars(samples), "targets": {"label": labels.values}})
    bound = Text(length=length).bind(VOCABULARY)
    found = at_tokens(samples, {"label": TokenClassification()}, bound).targets["label"]
    return found.tolist(), labels.names


def test_by_hand():
    # [CLS] he lives in the u . s . un ##aff ##able . [SEP]: 1 is B-LOC, -4 continues it.
    (row,), names = placed(["He lives in the U.S. unaffable ."], ["O O O O B-LOC O O"], 14)
    assert names == ("O", "B-LOC", "I-LOC")
    assert row == [-1, 0, 0, 0, 0, 1, -4, -4, -4, 0, -1, -1, 0, -1]


def test_a_word_outside_of_entities_continues_as_outside():
    (row,), _ = placed(["un-un he"], ["O B-PER"], 8)
    assert row == [-1, 0, -2, -2, 1, -1, -1, -1]


def test_words_without_room_stand_behind_the_tokens():
    # Room for three tokens: the second word of New York, and what follows, are cut off.
    rows, _ = placed(["he lives new york .", "he"], ["O O B-LOC I-LOC O", "O"], 5)
    assert rows == [[-1, 0, 0, 1, -1, 2, 0], [-1, 0, -1, -1, -1, -1, -1]]


def test_words_without_a_token_are_left_out_and_said(caplog):
    """A zero-width blank is dropped by the tokeniser; the words around it keep their places."""
    rows, _ = placed(["he \u200b lives"], ["O B-PER O"], 6)
    assert rows == [[-1, 0, 0, -1, -1, -1]]
    assert "1 of 3 words have no token" in caplog.text


def test_other_numbers_of_words_and_labels_are_refused():
    with pytest.raises(BadData, match=r"1 of 2 texts.*\n.*he lives: 2 words, 3 labels"):
        placed(["he lives", "he"], ["O B-PER O", "O"])


WORDS = st.text(
    st.characters(exclude_categories=("Cs", "Zs", "Zl", "Zp", "Cc")), min_size=1, max_size=6
).filter(lambda word: word.strip() == word and not word.isspace())


@settings(max_examples=12)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_each_word_has_one_place(sentences):
    """Every word's label stands at one place, and tokens are those of the sentence as it is."""
    tags = [" ".join(f"B-T{place % 3}" for place, _ in enumerate(words)) for words in sentences]
    texts = [" ".join(words) for words in sentences]
    rows, _ = placed(texts, tags, 16)
    for words, row in zip(sentences, rows, strict=True):
        kept = [value for value in row[:16] if value >= 0]
        missed = [value for value in row[16:] if value >= 0]
        expected = [1 + 2 * (place % 3) for place, _ in enumerate(words)]
        assert sorted(kept + missed) == sorted(expected)
    bound = Text(length=16).bind(VOCABULARY)
    for name, values in bound.prepare(tf.constant(texts)).items():
        np.testing.assert_array_equal(values, bound.located(tf.constant(texts)).inputs[name])


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
@settings(max_examples=12)
def test_places_of_any_text_lie_within_it(texts):
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    for lowercase in (True, False):
        vocabulary = Vocabulary(VOCABULARY.tokens, lowercase)
        found = Text(length=16).bind(vocabulary).located(tf.constant(texts))
        starts, spans = found.starts.numpy(), found.spans.numpy()
        for place, text in enumerate(texts):
            last = 0
            for begin, end in spans[place][starts[place]]:
                assert last <= begin < end <= len(text)
                last = end


def test_accents_belong_to_their_word():
    text = "Jose\u0301 Mu\u0308ller\u0301, ok"
    found = Text(length=12).bind(VOCABULARY).located(tf.constant([text]))
    spans = found.spans.numpy()[found.starts.numpy()]
    words = ["Jose\u0301", "Mu\u0308ller\u0301", ",", "ok"]
    assert [text[begin:end] for begin, end in spans] == words
