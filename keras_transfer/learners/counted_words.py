"""Counted words and a linear support vector machine: what a network for texts has to beat."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

__all__ = ["MAX_TEXTS", "PairCounts", "tfidf_svm"]

MAX_TEXTS = 50_000
"""Most texts that it learns from: in seconds, and in little memory."""

# Chinese and Japanese have no spaces, so each of their characters counts as a word.
WORDS = r"(?u)[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+"


class PairCounts(BaseEstimator):
    """Counted words of pairs: what one text has more than the other, and what both have.

    Of the TF-IDF vectors a and b, of unit length, these are max(a - b, 0), max(b - a, 0), a * b,
    and the sum of the last, their cosine similarity: a linear model of a and b alone could not tell
    which words both have.

    Args:
        words: Counts the words of a text; it is fitted to all texts of the pairs.
    """

    def __init__(self, words: TfidfVectorizer):
        self.words = words

    def fit(self, pairs: Sequence[Any], y: Any = None) -> PairCounts:
        """Learn the words of (n,) tuples of two texts."""
        self.words.fit([*chain.from_iterable(pairs)])
        return self

    def transform(self, pairs: Sequence[Any]) -> sparse.csr_matrix:
        """(n, 3 * words + 1) float64 of (n,) tuples of two texts."""
        a, b = (self.words.transform(texts) for texts in zip(*pairs, strict=True))
        both = a.multiply(b)
        alone = [(one - other).maximum(0) for one, other in ((a, b), (b, a))]
        return sparse.hstack([*alone, both, both.sum(axis=1)], format="csr")


def tfidf_svm(
    texts: Sequence[Any], labels: np.ndarray, weights: np.ndarray, others: Sequence[Any], seed: int
) -> np.ndarray:
    """Classify texts by their words and pairs of words (Joachims 1998, ECML).

    Each counts 1 + log(its number in the text), times its inverse document frequency; the settings
    are scikit-learn's defaults otherwise. Pairs of texts: see ``PairCounts``.

    Args:
        texts: n texts, or tuples of two, to learn from; ``MAX_TEXTS`` are drawn from more.
        labels: (n,) int.
        weights: (n,) float, above 0: weight of each text in the loss.
        others: m texts, or tuples, to classify.
        seed: Of the drawing, and of the solver; below 2**32.

    Returns:
        (m,) int labels.
    """
    chosen = np.random.default_rng(seed).permutation(len(texts))[:MAX_TEXTS]
    words = TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2), sublinear_tf=True)
    counts = PairCounts(words) if isinstance(texts[0], tuple) else words
    model = make_pipeline(counts, LinearSVC(random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a comparison need not be exact
        learnt = [texts[place] for place in chosen]
        model.fit(learnt, labels[chosen], linearsvc__sample_weight=weights[chosen])
    return np.asarray(model.predict(others))
