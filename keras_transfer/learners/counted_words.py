"""Counted words and a linear support vector machine: what a network for texts has to beat."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

__all__ = ["MAX_TEXTS", "tfidf_svm"]

MAX_TEXTS = 50_000
"""Most texts that it learns from: in seconds, and in little memory."""

# Chinese and Japanese have no spaces, so each of their characters counts as a word.
WORDS = r"(?u)[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+"


def tfidf_svm(
    texts: Sequence[str], labels: np.ndarray, weights: np.ndarray, others: Sequence[str], seed: int
) -> np.ndarray:
    """Classify texts by their words and pairs of words (Joachims 1998, ECML).

    Each counts 1 + log(its number in the text), times its inverse document frequency; the settings
    are scikit-learn's defaults otherwise.

    Args:
        texts: n texts to learn from; ``MAX_TEXTS`` are drawn from more.
        labels: (n,) int.
        weights: (n,) float, above 0: weight of each text in the loss.
        others: m texts to classify.
        seed: Of the drawing, and of the solver; below 2**32.

    Returns:
        (m,) int labels.
    """
    chosen = np.random.default_rng(seed).permutation(len(texts))[:MAX_TEXTS]
    words = TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LinearSVC(random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a comparison need not be exact
        learnt = [texts[place] for place in chosen]
        model.fit(learnt, labels[chosen], linearsvc__sample_weight=weights[chosen])
    return np.asarray(model.predict(others))
