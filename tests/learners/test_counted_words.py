"""Counted words and a linear support vector machine."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from keras_transfer.learners import counted_words
from keras_transfer.learners.counted_words import tfidf_svm

FINE = ["a fine film", "fine acting", "a bright, fine story", "bright and moving"]
DULL = ["a dull film", "dull acting", "a slow, dull story", "slow and empty"]
LABELS = np.repeat([1, 0], 4)
ONES = np.ones(8)


def test_it_answers_as_scikit_learn_with_pairs_of_words():
    others = ["fine", "a slow film", "bright acting", "not a word of them"]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    svm = LinearSVC(random_state=0).fit(words.fit_transform(FINE + DULL), LABELS)
    expected = svm.predict(words.transform(others))
    found = tfidf_svm(FINE + DULL, LABELS, ONES, others, seed=0)
    assert found.tolist() == expected.tolist() == [1, 0, 1, expected[3]]


def test_order_tells_texts_of_the_same_words_apart():
    texts = ["good not bad", "bad not good"] * 6
    found = tfidf_svm(texts, np.tile([1, 0], 6), np.ones(12), texts[:2], seed=0)
    assert found.tolist() == [1, 0]


def test_ideographs_are_words():
    texts = ["好电影", "很好看", "真好", "坏电影", "很坏", "真坏"]
    others = ["好", "坏", "iphone好5分钟", "5分钟坏iphone"]
    found = tfidf_svm(texts, np.repeat([1, 0], 3), np.ones(6), others, seed=0)
    assert found.tolist() == [1, 0, 1, 0]


def test_a_weight_is_a_number_of_copies():
    texts, labels = ["film", "film", "film"], np.array([0, 1, 1])
    for weights, label in (([5.0, 1.0, 1.0], 0), ([1.0, 1.0, 1.0], 1)):
        assert tfidf_svm(texts, labels, np.array(weights), ["film"], seed=0) == [label]


def test_of_many_texts_some_are_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr(counted_words, "MAX_TEXTS", 8)
    texts, labels = (FINE + DULL) * 50, np.tile(LABELS, 50)
    first, again = (tfidf_svm(texts, labels, np.ones(400), FINE + DULL, seed=3) for _ in "ab")
    assert first.tolist() == again.tolist()


def test_texts_without_words_are_an_error():
    with pytest.raises(ValueError, match="empty vocabulary"):
        tfidf_svm(["🙂", "🙁"], np.array([1, 0]), np.ones(2), ["🙂"], seed=0)
