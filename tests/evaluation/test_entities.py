"""Entities and their metrics against the documented cases of seqeval, by hand, and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.evaluation.entities import count_entities, entities_of
from keras_transfer.evaluation.entity_metrics import (
    entity_metric,
    entity_metrics,
    entity_summary,
    majority_baseline,
    tagged,
)
from keras_transfer.evaluation.token_files import (
    read_token_predictions,
    write_token_predictions,
)

NAMES = ("O", "B-MISC", "I-MISC", "B-PER", "I-PER")


def labels(*sentences, width=8):
    """(n, width) int: -1 behind the last word."""
    values = np.full((len(sentences), width), -1)
    for row, sentence in zip(values, sentences, strict=True):
        row[: len(sentence.split())] = [NAMES.index(tag) for tag in sentence.split()]
    return values


def scores_of(decided):
    """Scores whose highest one is that of the label."""
    return np.eye(len(NAMES))[np.maximum(decided, 0)] * 0.6 + 0.08


def measured(true, predicted):
    return entity_metrics(labels(*true), scores_of(labels(*predicted)), NAMES)


def test_the_example_of_seqevals_readme():
    """f1_score 0.50, accuracy_score 0.80; MISC 0 and PER 1, with one entity each."""
    found = measured(
        ["O O O B-MISC I-MISC I-MISC O", "B-PER I-PER O"],
        ["O O B-MISC I-MISC I-MISC I-MISC O", "B-PER I-PER O"],
    )
    overall = [found[name] for name in ("precision", "recall", "f1", "macro_f1", "accuracy")]
    assert overall == [0.5, 0.5, 0.5, 0.5, 0.8]
    per_type = {name: (row["f1"], row["support"]) for name, row in found["per_type"].items()}
    assert per_type == {"MISC": (0, 1), "PER": (1, 1)}
    assert (found["n"], found["words"], found["entities"]) == (2, 10, 2)


def test_an_i_that_begins_an_entity_counts_as_in_conlleval():
    """The README's case of I-NP I-NP O for B-NP I-NP O: 1.00 unless strict."""
    assert measured(["B-PER I-PER O"], ["I-PER I-PER O"])["f1"] == 1


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O B-MISC", [("PER", 0, 1), ("MISC", 3, 3)]),  # get_entities' example
        ("B-PER B-PER I-PER", [("PER", 0, 0), ("PER", 1, 2)]),
        ("B-PER I-MISC I-MISC", [("PER", 0, 0), ("MISC", 1, 2)]),
        ("O I-PER O I-PER", [("PER", 1, 1), ("PER", 3, 3)]),
        ("I-PER B-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("O O", []),
    ],
)
def test_entities_by_hand(tags, expected):
    (row,) = labels(tags)
    found = entities_of(row[row >= 0])
    assert [(NAMES[1 + 2 * one.type][2:], one.start, one.end) for one in found] == expected


def brute_force(tags):
    """Entities by conlleval's rules, word by word."""
    found, kind, start = set(), 0, 0
    for place, tag in enumerate([*tags, 0]):
        now = (tag + 1) // 2
        if kind and (now != kind or tag % 2 == 1):
            found.add((start, place - 1, kind - 1))
            kind = 0
        if now and not kind:
            kind, start = now, place
    return found


SENTENCES = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=7), min_size=1
)


@given(SENTENCES)
def test_counts_are_those_of_word_by_word_rules(sentences):
    true, predicted = (
        np.array([pair[side] for sentence in sentences for pair in sentence]) for side in (0, 1)
    )
    rows = np.repeat(np.arange(len(sentences)), [len(sentence) for sentence in sentences])
    found = count_entities(true, predicted, rows, len(sentences), 2)
    for number in range(len(sentences)):
        a, b = (brute_force(values[rows == number].tolist()) for values in (true, predicted))
        for kind in (0, 1):
            sizes = [sum(one[2] == kind for one in some) for some in (a, b, a & b)]
            assert [table[number, kind] for table in found] == sizes
        assert {tuple(one) for one in entities_of(true[rows == number])} == a


def test_words_that_are_cut_off_are_missed():
    # Two tokens: the second word of PER is cut off, and all of the second sentence's last word.
    true = labels("B-PER I-PER O", "O B-MISC", width=3)
    true = np.array([[3, -1, 4, 0], [-1, 0, 1, -1]])
    scores = scores_of(np.array([[3, 0], [0, 0]]))
    found = entity_metrics(true, scores, NAMES)
    assert found["cut_off"] == {"words": 3, "entities": 2}
    assert (found["recall"], found["precision"], found["words"]) == (0, 0, 5)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert "3 of 5 words were cut off" in entity_summary(found)
    assert "2 of 2 entities are missed" in entity_summary(found)


def test_further_parts_and_other_tokens_are_not_measured():
    # U . S . is: one word of four parts, whatever is predicted for the last three.
    true = np.array([[-1, 1, -4, -4, -4, 0, -1]])
    found = entity_metrics(true, scores_of(np.array([[3, 1, 0, 3, 0, 0, 4]])), NAMES)
    assert (found["f1"], found["words"]) == (1, 2)


def test_undefined_metrics_are_none():
    found = measured(["O B-PER"], ["O O"])
    assert (found["precision"], found["recall"], found["f1"]) == (None, 0, 0)
    assert found["per_type"]["MISC"]["f1"] is None
    assert found["macro_f1"] == 0
    with pytest.raises(BadData, match="no word has a known label"):
        entity_metrics(np.full((2, 3), -1), np.zeros((2, 3, 5)), NAMES)
    with pytest.raises(CheckFailed, match="not numbers"):
        entity_metrics(labels("O"), np.full((1, 3, 5), np.nan), NAMES)


def test_intervals_resample_sentences():
    rng = np.random.default_rng(0)
    right = rng.random(300) < 0.7
    found = measured(["B-PER O"] * 300, np.where(right, "B-PER O", "O O").tolist())
    recall = right.mean()
    assert found["f1"] == pytest.approx(2 * recall / (1 + recall))
    # By the delta method: dF1/dr = 2 / (1 + r)^2.
    margin = 1.96 * 2 / (1 + recall) ** 2 * np.sqrt(recall * (1 - recall) / 300)
    low, high = found["f1_interval"]
    assert low == pytest.approx(found["f1"] - margin, abs=0.01)
    assert high == pytest.approx(found["f1"] + margin, abs=0.01)


def test_the_baseline_is_the_most_frequent_label():
    train, true = labels("O O B-PER"), labels("O B-MISC", "O")
    found = majority_baseline(train, true, NAMES)
    assert (found["label"], found["accuracy"], found["f1"]) == ("O", pytest.approx(2 / 3), 0)


def test_paired_metrics_are_those_of_all_sentences():
    true = labels("B-PER I-PER O", "O B-MISC", "O")
    decided = labels("B-PER O O", "O B-MISC", "B-PER")
    ones = np.ones((1, 3))
    found = entity_metrics(true, scores_of(decided), NAMES)
    for name in ("f1", "accuracy"):
        assert entity_metric(name, 2)(ones, true, None, decided) == pytest.approx(found[name])
    # The second sentence alone, twice.
    assert entity_metric("f1", 2)(np.array([[0.0, 2, 0]]), true, None, decided) == 1


def test_files_of_predictions(tmp_path):
    true = np.array([[-1, 3, -1, 4, 0], [-1, 0, -4, -1, -1]])  # the last word is cut off
    decided = np.array([[0, 3, 4, 0], [0, 1, 0, 0]])
    scores, file = scores_of(decided), tmp_path / "predictions.csv"
    write_token_predictions(file, ["a.txt:1", "a.txt:5"], true, scores, NAMES)
    rows = file.read_text().splitlines()
    assert rows[0].startswith('"path","word","true","predicted","p:O","p:B-MISC"')
    assert rows[3] == '"a.txt:1",3,"O","O","","","","",""'

    read = read_token_predictions(file)
    assert read.names == NAMES
    assert read.keys.tolist() == ["a.txt:1", "a.txt:5"]
    assert read.true.tolist() == [[3, 4, 0], [0, -1, -1]]
    assert read.decided.tolist() == [[3, 0, 0], [1, -1, -1]]
    assert read.scores[0, 2].tolist() == [1, 0, 0, 0, 0]
    assert tagged(read.true, read.decided).predicted.tolist() == [3, 0, 0, 1]
    file.write_text('"path","true"\n')
    with pytest.raises(BadData, match="no file of predictions of this objective"):
        read_token_predictions(file)
