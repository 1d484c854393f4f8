"""WordPiece in graphs: equal to BERT's, character by character and token by token."""

import random
import subprocess
import sys
import unicodedata
from functools import cache

import bert_tokenization as bert
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.inputs.texts.learning import learn_vocabulary
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary
from keras_transfer.inputs.texts.wordpiece import WordPiece
from keras_transfer.inputs.texts.words import WordSplitter

SMALL = Vocabulary(
    (
        *SPECIAL_TOKENS,
        "un",
        "##aff",
        "##able",
        "runn",
        "##ing",
        "want",
        "##ed",
        ",",
        "中",
        "run",
        "##want",
    )
)

NASTY = {
    "empty": "",
    "blank": " \t\n\r ",
    "accents": "Crème Brûlée NAÏVE Ångström ﬁ ŉ ǰ",
    "decomposed": unicodedata.normalize("NFD", "Crème Brûlée Ångström"),
    "emoji": "good 👍🏽 film 👩‍👩‍👧‍👦🏳️‍🌈!!",
    "ideographs": "我爱Natural語言处理。𠀀豈㐀",
    "kana and hangul": "カタカナ ｶﾞｷﾞ がぎぐ 한국어 조선말",
    "controls": "a\x00b\x01c\x7f\x85d\x0be\x1cf",
    "format characters": "zero\u200bwidth\u200djoin\u2060er \ufeff\u00ad\u202eright",
    "odd spaces": "a\u00a0b\u2003c\u3000d\u1680e\u2028f\u2029g\u205fh",
    "sigmas": "ΑΣ ΣΑΣ Σ ΑΣ' ΑΣ'Α ΑΣ.Β Σ. ΑΣ\u0301 ΑΣ\u200d ΑΣ中 ΟΔΟΣ ΑʰΣ ΑΣʰ 1Σ",
    "turkish": "İSTANBUL ıI",
    "german": "STRASSE Straße ẞ",
    "punctuation": "don't (wait)... “quoted” — ¿que? $5 ^_^ `x` ´y΄ ;; ·x ،؟",
    "greek questions": "τι\u037e a\u1fefb",  # they become ; and ` when decomposed
    "long words": "a" * 100 + " " + "a" * 101 + " " + "é" * 101,
    "replacement": "a\ufffdb \ufffd",
    "marks alone": "\u0301 a \u0301\u0302b ! \u0301",
    "marks out of order": "a\u302e\u1b44 q\u0323\u302e\u0307\u1b44x 한\u302f\u1b44",
    "private and unassigned": "\ue000\U000f0000 \u0378\U000e0fff",
    "special tokens": "[CLS] [MASK] [PAD]",
    "hashes": "##ing # ing",
    "hebrew and arabic": "שָׁלוֹם السَّلَامُ",
    "hindi": "नमस्ते हिन्दी",
    "ten thousand characters": "wanted, running " * 625,
}

BROKEN = {
    "not UTF-8": b"a\xffb \xfe\xff want",
    "cut off": b"want \xe4\xb8",
    "cut off within": b"want\xe4\xb8ed \xf0\x9f\x91run",
    "overlong": b"run\xc0\xafning \xe0\x80\xaf",
    "surrogates": b"run\xed\xa0\x80\xed\xb0\x80ning",
    "too large": b"run\xf4\x90\x80\x80ning \xf8\x88\x80\x80\x80",
    "continuation bytes": b"\x80\x80run\xbf",
}


@cache
def splitter(lowercase):
    return tf.function(
        WordSplitter(lowercase).strings, input_signature=[tf.TensorSpec([None], tf.string)]
    )


def words_of(text, lowercase=True):
    raw = text if isinstance(text, bytes) else text.encode()
    return [word.decode() for word in splitter(lowercase)(tf.constant([raw])).numpy()]


@cache
def rich_vocabulary():
    """Pieces of the nasty words, so that much is made of several and little is unknown."""
    counts = {}
    for text in NASTY.values():
        for lowercase in (True, False):
            for word in bert.words(text, lowercase):
                counts[word] = counts.get(word, 0) + 1
    return learn_vocabulary(counts, 700, min_count=1)


@cache
def tokenizer(lowercase):
    piece = WordPiece(rich_vocabulary(), lowercase=lowercase)
    return tf.function(piece.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])


def ids(texts, vocabulary, lowercase=True):
    known, number = set(vocabulary.tokens), {t: i for i, t in enumerate(vocabulary.tokens)}
    return [[number[t] for t in bert.tokens(x, known, lowercase=lowercase)] for x in texts]


# --- by hand ----------------------------------------------------------------------------------


def test_the_longest_piece_comes_first():
    """The example of BERT's own test, with [CLS] = 2 and [SEP] = 3 around it."""
    tensors = WordPiece(SMALL, length=12)(tf.constant(["UNwantéd,running"]))

    assert tensors["token_ids"].numpy().tolist() == [[2, 5, 15, 11, 12, 8, 9, 3, 0, 0, 0, 0]]
    assert tensors["padding_mask"].numpy().tolist() == [[True] * 8 + [False] * 4]
    assert tensors["token_ids"].dtype == tf.int32


def test_a_word_is_unknown_if_its_rest_is():
    """Runn is a piece and ##ed another, but nothing continues with x: one [UNK], id 1."""
    tensors = WordPiece(SMALL, length=8)(tf.constant("runnx wanted unwantedx run"))

    assert tensors["token_ids"].numpy().tolist() == [2, 1, 10, 11, 1, 14, 3, 0]


def test_long_texts_lose_their_end():
    tensors = WordPiece(SMALL, length=5)(tf.constant(["want want want", "want running run", ""]))

    assert tensors["token_ids"].numpy().tolist() == [
        [2, 10, 10, 10, 3],
        [2, 10, 8, 9, 3],
        [2, 3, 0, 0, 0],
    ]


def test_words_of_more_than_100_characters_are_unknown():
    letters = Vocabulary((*SPECIAL_TOKENS, "a", "##a"))

    rows = WordPiece(letters, length=128).tokenize(tf.constant(["a" * 100, "a" * 101]))

    assert rows.to_list() == [[5] + [6] * 99, [1]]


def test_tokens_have_the_ids_of_their_vocabulary():
    """Special tokens may stand anywhere."""
    shuffled = Vocabulary(("want", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "[CLS]"))

    tensors = WordPiece(shuffled, length=5)(tf.constant("want x"))

    assert tensors["token_ids"].numpy().tolist() == [5, 0, 3, 1, 4]


# --- equal to BERT's --------------------------------------------------------------------------


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("text", [*NASTY.values(), *BROKEN.values()], ids=[*NASTY, *BROKEN])
def test_words_are_those_of_bert(text, lowercase):
    assert words_of(text, lowercase) == bert.words(text, lowercase)


@pytest.mark.parametrize("lowercase", [True, False])
def test_tokens_are_those_of_bert(lowercase):
    texts = [*NASTY.values(), *BROKEN.values()]
    rows = tokenizer(lowercase)(
        tf.constant([t if isinstance(t, bytes) else t.encode() for t in texts])
    )

    assert rows.to_list() == ids(texts, rich_vocabulary(), lowercase)


@pytest.mark.parametrize("lowercase", [True, False])
def test_each_character_of_unicode_is_treated_as_by_bert(lowercase):
    """Between two letters, so that it shows what is dropped, split and changed."""
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    told = [c for c in codes if unicodedata.category(chr(c)) not in ("Cn", "Co")]
    texts = [
        "".join(f"a{chr(code)}b " for code in told[i : i + 64]) for i in range(0, len(told), 64)
    ]

    found = splitter(lowercase)(tf.constant(texts)).numpy().tolist()

    assert [word.decode() for word in found] == [w for t in texts for w in bert.words(t, lowercase)]


STRANGE = "aAbéÉßİıΣσςΑʰ'.,!#中豈한ㅎ👍１ﬁǅ"
STRANGE += "\u0301\u0323\u302e\u1b44\u200d\u00ad\u00a0\u2028 \t\x00\x85\ufffd"


@given(st.text(st.sampled_from(STRANGE), max_size=30), st.booleans())
def test_strange_texts_have_the_words_of_bert(text, lowercase):
    assert words_of(text, lowercase) == bert.words(text, lowercase)


@given(st.lists(st.one_of(st.text(), st.text(st.sampled_from(STRANGE)), st.binary()), max_size=5))
def test_any_texts_have_the_tokens_of_bert(texts):
    raw = [text if isinstance(text, bytes) else text.encode() for text in texts]
    rows = tokenizer(True)(tf.constant(raw, tf.string, (len(raw),)))

    assert rows.to_list() == ids(texts, rich_vocabulary())


@given(
    st.lists(st.text(st.sampled_from("aabbc,中 "), max_size=40), min_size=1, max_size=4), st.data()
)
def test_pieces_of_any_vocabulary_are_chosen_as_by_bert(texts, data):
    """Few letters and random pieces: the longest piece often leads to a dead end."""
    drawn = data.draw(st.sets(st.text("abc", min_size=1, max_size=4), max_size=12))
    pieces = sorted(drawn) + sorted("##" + piece for piece in drawn if len(piece) != 2)
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *pieces))

    rows = WordPiece(vocabulary).tokenize(tf.constant(texts))

    assert rows.to_list() == ids(texts, vocabulary)


@settings(max_examples=25)
@given(
    st.lists(st.text(st.sampled_from("ab,é 中"), max_size=60), min_size=1, max_size=4),
    st.integers(2, 20),
)
def test_packed_texts_are_the_tokens_cut_and_padded(texts, length):
    """Words that cannot fit are left out early; that changes nothing."""
    vocabulary = Vocabulary((*SPECIAL_TOKENS, "a", "##a", "ab", "##b", ",", "e"))

    tensors = WordPiece(vocabulary, length=length)(tf.constant(texts))

    expected = [[2, *row[: length - 2], 3] for row in ids(texts, vocabulary)]
    padded = [row + [0] * (length - len(row)) for row in expected]
    assert tensors["token_ids"].numpy().tolist() == padded
    assert tensors["padding_mask"].numpy().sum(1).tolist() == [len(row) for row in expected]


@pytest.mark.real_data
def test_real_sentences_have_the_tokens_of_bert(shared_data):
    lines = (shared_data / "text/sst2/dev.tsv").read_text("utf-8").split("\n")
    sentences = [line.partition("\t")[0] for line in lines if line]
    counts = {}
    for sentence in sentences:
        for word in bert.words(sentence):
            counts[word] = counts.get(word, 0) + 1
    vocabulary = learn_vocabulary(counts, 1000)
    odd = random.Random(0).sample(sentences, 100)
    texts = sentences + [s.title() + "… «" + s.upper() + "»" for s in odd]

    rows = WordPiece(vocabulary).tokenize(tf.constant(texts))

    assert len(sentences) == 872
    assert rows.to_list() == ids(texts, vocabulary)


# --- where it runs ----------------------------------------------------------------------------


def test_a_text_alone_and_an_empty_batch():
    piece = WordPiece(SMALL, length=4)

    alone, none = piece(tf.constant("run")), piece(tf.constant([], tf.string))

    assert {name: values.shape.as_list() for name, values in alone.items()} == {
        "token_ids": [4],
        "padding_mask": [4],
    }
    assert none["token_ids"].shape == (0, 4)
    assert none["padding_mask"].shape == (0, 4)


@pytest.mark.parametrize("batched", [True, False])
def test_datasets_and_graphs_see_full_shapes(batched):
    data = tf.data.Dataset.from_tensor_slices(["run", "want running", ""])
    data = (
        data.batch(2).map(WordPiece(SMALL, length=6))
        if batched
        else data.map(WordPiece(SMALL, length=6)).batch(2)
    )

    assert data.element_spec["token_ids"].shape.as_list() == [None, 6]
    assert data.element_spec["padding_mask"].shape.as_list() == [None, 6]
    rows = [row for batch in data for row in batch["token_ids"].numpy().tolist()]
    assert rows == [[2, 14, 3, 0, 0, 0], [2, 10, 8, 9, 3, 0], [2, 3, 0, 0, 0, 0]]


LOADING = """
import sys, tensorflow as tf
out = tf.saved_model.load(sys.argv[1]).serve(tf.constant(["unwanted, Running ", "", "x\\u0301 中"]))
print(out["token_ids"].numpy().tolist())
assert not [name for name in sys.modules if name.startswith("keras_transfer")]
"""


@pytest.mark.slow
def test_a_saved_model_takes_strings_with_tensorflow_alone(tmp_path):
    piece = WordPiece(SMALL, length=8)
    module = tf.Module()
    module.serve = tf.function(piece, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "model"))

    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(
        [[2, 5, 15, 11, 12, 8, 9, 3], [2, 3, 0, 0, 0, 0, 0, 0], [2, 1, 13, 3, 0, 0, 0, 0]]
    )
