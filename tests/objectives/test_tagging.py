"""Schemes of labels of words, against conversions by hand and round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.errors import BadData
from keras_transfer.objectives.tagging import to_iob2


def convert(*sentences):
    rows = [sentence.split() for sentence in sentences]
    return [" ".join(row) for row in to_iob2(rows, [f"s{i}" for i in range(len(rows))])]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("O B-PER I-PER O B-PER B-LOC", "O B-PER I-PER O B-PER B-LOC"),
        ("I-PER I-PER O I-LOC B-LOC I-PER", "B-PER I-PER O B-LOC B-LOC B-PER"),  # IOB1
        ("B-PER E-PER S-LOC O B-ORG I-ORG E-ORG", "B-PER I-PER B-LOC O B-ORG I-ORG I-ORG"),
        ("B-PER L-PER U-LOC O B-ORG I-ORG L-ORG", "B-PER I-PER B-LOC O B-ORG I-ORG I-ORG"),
        ("O O", "O O"),
    ],
)
def test_by_hand(given, expected):
    assert convert(given) == [expected]


def test_all_sentences_together_say_the_scheme():
    # The first alone could be either; the second cannot be IOB2.
    assert convert("O I-PER", "I-LOC B-LOC") == ["O B-PER", "B-LOC B-LOC"]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (("B-PER O I-LOC", "O B-PER", "B-LOC I-LOC"), r"1 of 3 sentences are not IOB2.*\n.*s0"),
        (("B-PER I-PER", "B-PER E-LOC"), "2 of 2 sentences are not BIOES"),
        (("S-PER U-PER",), "not BIOES"),
        (("B-PER I-PER B-PER I-LOC L-LOC",), "not BILOU"),
        (("NN VB",), "O, B-TYPE or I-TYPE.*\n.*s0: 'NN'"),
    ],
)
def test_what_is_no_scheme_is_refused(sentences, message):
    with pytest.raises(BadData, match=message):
        convert(*sentences)


ENTITIES = st.lists(st.tuples(st.sampled_from(["A", "B", ""]), st.integers(1, 3)), max_size=6)


def written(entities, form):
    tags = []
    before = ""
    for kind, length in entities:
        if not kind:
            tags += ["O"] * length
        elif form == "IOB2":
            tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
        elif form == "IOB1":
            tags += [f"{'B' if before == kind else 'I'}-{kind}", *[f"I-{kind}"] * (length - 1)]
        else:
            one, end = form
            places = one if length == 1 else "B" + "I" * (length - 2) + end
            tags += [f"{place}-{kind}" for place in places]
        before = kind
    return tags


@given(st.lists(ENTITIES, min_size=1, max_size=4), st.sampled_from(["IOB1", "SE", "UL"]))
def test_every_scheme_says_the_same(sentences, form):
    rows = [written(sentence, form) for sentence in sentences]
    # A single entity per type may be written alike in several schemes; then it is read as IOB2.
    expected = [written(sentence, "IOB2") for sentence in sentences]
    if form != "IOB1" and not {tag[0] for row in rows for tag in row} & set(form):
        return
    assert to_iob2(rows, np.arange(len(rows)).astype(str)) == expected
