"""Text as an input: settings, what is learnt, tensors, checks."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.inputs.base import Input
from keras_transfer.inputs.text import BoundText, Text
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary

TEXTS = ["a good film", "a bad, bad film", "Good!", "bad"] * 3
SMALL = Vocabulary((*SPECIAL_TOKENS, "a", "good", "bad", "film", ","))


def bound(**settings):
    return Text(**settings).bind(SMALL)


def test_what_is_learnt_is_saved_loaded_and_bound(tmp_path):
    """5 special tokens, 9 letters in two forms, 2 marks, and 12 merges of what occurs often."""
    text = Text(length=8, vocabulary_size=37)

    vocabulary = text.fit(TEXTS)
    text.save(vocabulary, tmp_path)
    again = text.bind(text.load(tmp_path))

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["preprocessing.json", "vocabulary.txt"]
    assert again == text.bind(vocabulary)
    assert {"good", "bad", "film", "!", ","} <= set(vocabulary.tokens)
    ids = again.prepare(tf.constant("Bad film!"))["token_ids"].numpy()
    assert [vocabulary.tokens[i] for i in ids] == (
        ["[CLS]", "bad", "film", "!", "[SEP]", "[PAD]", "[PAD]", "[PAD]"]
    )


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"lowercase": 1}'])
def test_a_record_that_does_not_say_the_case_is_damaged(tmp_path, content):
    text = Text(length=8)
    text.save(SMALL, tmp_path)
    (tmp_path / "preprocessing.json").write_text(content)
    with pytest.raises(BadData, match=r"preprocessing.json is damaged"):
        text.load(tmp_path)


def test_settings_that_contradict_the_vocabulary_are_refused():
    cased = Vocabulary(SMALL.tokens, lowercase=False)
    assert Text().bind(cased).lowercase is False
    assert Text(lowercase=False).bind(cased).lowercase is False
    with pytest.raises(BadConfiguration, match=r"input\.lowercase = true: .* is not one of lower"):
        Text(lowercase=True).bind(cased)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_tensors_are_as_the_spec_says(batch):
    text = bound(length=6)

    tensors = text.prepare(tf.fill(batch, "a film"))

    assert tensors.keys() == text.spec.keys()
    for name, spec in text.spec.items():
        assert tensors[name].shape == (*batch, *spec.shape)
        assert tensors[name].dtype == spec.dtype
    assert text.raw == {"text": "string"}


@pytest.mark.parametrize("autograph", [True, False])
def test_it_is_the_same_in_a_graph_of_unknown_batch_size(autograph):
    text = bound(length=6)
    signature = [tf.TensorSpec([None], tf.string)]
    graph = tf.function(text.prepare, input_signature=signature, autograph=autograph)
    raw = tf.constant(["a good film", "", "bad, bad, bad, bad"])

    for name, values in text.prepare(raw).items():
        np.testing.assert_array_equal(graph(raw)[name], values)


def test_the_first_call_may_be_in_a_dataset():
    data = tf.data.Dataset.from_tensor_slices(TEXTS).batch(4).map(bound(length=5).prepare)

    first = next(iter(data))["token_ids"].numpy().tolist()

    assert first == [[2, 5, 6, 8, 3], [2, 5, 7, 9, 3], [2, 6, 1, 3, 0], [2, 7, 3, 0, 0]]


def test_case_and_accents_stay_where_it_is_asked_for():
    cased = Vocabulary((*SPECIAL_TOKENS, "Bad", "é", "e"))

    ids = Text(length=5, lowercase=False).bind(cased).prepare(tf.constant(["Bad é", "bad e"]))

    assert ids["token_ids"].numpy().tolist() == [[2, 5, 6, 3, 0], [2, 1, 7, 3, 0]]


def test_metadata_are_json_and_differ_where_tensors_do():
    others = [
        bound(),
        bound(length=64),
        bound(lowercase=False),
        Text().bind(Vocabulary((*SMALL.tokens[:-1], "."))),
    ]
    assert len({json.dumps(text.metadata, sort_keys=True) for text in others}) == 4
    assert bound().metadata == bound(vocabulary_size=9999).metadata  # it made no difference
    assert bound().metadata["vocabulary"] == SMALL.digest


def test_texts_are_not_changed_at_random():
    batch = bound(length=6).prepare(tf.constant(["a film"]))

    assert bound(length=6).augment(batch, tf.zeros((1, 2), tf.int32)) is batch


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"a film", ""),
        ("中".encode(), ""),
        (b".", ""),
        (b"", "is empty"),
        (" \t\n\u00a0\u2028".encode(), "is empty"),
        ("\u200b\x01\ufeff".encode(), "is empty"),
        (b"a f\xffilm", "is not UTF-8 (invalid start byte at byte 3)"),
    ],
)
def test_checks(raw, reason):
    found = bound().check(raw, "reviews.csv:7")

    assert found.reason == reason
    assert found.digest == hashlib.sha256(raw).hexdigest()


def test_a_survey_by_hand():
    """Tokens with [CLS] and [SEP]: 5, 7, 4, 2; of length 5, 1 of 4 is cut, 4 of 20 places are
    padding; 2 of the 10 other tokens are unknown."""
    found = bound(length=5).survey(["a good film", "a bad, bad x", "good y", b""])

    assert found.median == 4.5
    assert found.longest == 7
    assert found.truncated == 0.25
    assert found.padding == pytest.approx(4 / 20)
    assert found.unknown == pytest.approx(2 / 10)
    assert str(found) == (
        "Texts have 4.5 tokens in the median, 7 at most; length 5 truncates 25.0% of them, "
        "20% of all positions are padding, 20.0% of the tokens are unknown"
    )


@pytest.mark.parametrize("wrong", [{"length": 2}, {"vocabulary_size": 9}, {"lower": True}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        Text(**wrong)


def test_an_input_that_learns_nothing_needs_to_say_nothing(tmp_path):
    class Plain(Input):
        def bind(self, state):
            return state

        def judge(self, raw, name=""):
            return None

    plain = Plain()
    plain.save(plain.fit(["x"]), tmp_path)

    assert plain.load(tmp_path) is None
    assert not [*tmp_path.iterdir()]


def test_an_input_must_say_how_it_is_bound():
    with pytest.raises(TypeError, match="abstract"):
        Input()


def test_settings_are_equal_and_hashable():
    assert Text(length=9) == Text(length=9)
    assert isinstance(bound(), BoundText)
    assert len({bound(), bound(), bound(length=9)}) == 2


def test_looking_at_the_settings_imports_no_tensorflow():
    code = (
        "import sys; from keras_transfer.inputs.text import Text; Text(length=9);"
        "sys.exit(sorted({'tensorflow', 'keras', 'scipy', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
