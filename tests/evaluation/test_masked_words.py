"""Metrics of masked tokens, by hand and by resampling."""

import csv

import numpy as np
import pytest

from keras_transfer.evaluation.masked_words import (
    Answers,
    masked_metrics,
    masked_summary,
    unigram_answers,
    write_answers,
)

ANSWERS = Answers(
    np.array([0, 0, 1, 2]),
    np.array([1, 3, 2, 1]),
    np.array([5, 6, 5, 7]),
    np.array([5, 6, 6, 7]),
    np.log([0.5, 0.25, 0.125, 1.0]),
)


def test_metrics_by_hand():
    metrics = masked_metrics(ANSWERS)

    assert metrics["masked_accuracy"] == 0.75
    # 1 + 2 + 3 + 0 bits in 4 tokens.
    assert metrics["perplexity"] == pytest.approx(2**1.5)
    assert metrics["cross_entropy"] == pytest.approx(1.5 * np.log(2))
    assert (metrics["n"], metrics["texts"]) == (4, 3)
    # Residuals of accuracy by text: 2 - 1.5, 0 - 0.75, 1 - 0.75.
    spread = np.sqrt(3 / 2 * (0.25 + 0.5625 + 0.0625)) / 4
    low, high = metrics["masked_accuracy_interval"]
    assert low == pytest.approx(0.75 - 1.959964 * spread)
    assert high == 1


def test_copies_are_one_unit():
    copies = masked_metrics(ANSWERS, np.array([0, 1, 0]))

    assert copies["texts"] == 2
    assert copies["perplexity"] == masked_metrics(ANSWERS)["perplexity"]
    assert masked_metrics(ANSWERS, np.array([0, 0, 0]))["perplexity_interval"] is None


def test_intervals_are_as_wide_as_resampled_texts_say():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 6, 400)
    texts = np.repeat(np.arange(400), counts)
    shift = np.repeat(rng.normal(0, 0.5, 400), counts)  # tokens of a text are alike
    logs = -np.abs(shift + rng.normal(2, 0.5, len(texts)))
    zeros = np.zeros(len(texts), int)
    found = masked_metrics(Answers(texts, zeros, zeros, zeros, logs))["perplexity_interval"]

    sums = np.bincount(texts, -logs)
    drawn = rng.integers(0, 400, (4000, 400))
    means = np.exp(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))

    assert found == pytest.approx(np.quantile(means, [0.025, 0.975]), rel=0.02)


def test_a_unigram_predicts_by_counts_with_one_more_each():
    counts = np.array([0, 0, 0, 0, 0, 5, 1, 0])
    found = unigram_answers(ANSWERS, counts)

    assert found.predicted.tolist() == [5, 5, 5, 5]
    assert np.exp(found.log_probabilities) == pytest.approx([6 / 14, 2 / 14, 6 / 14, 1 / 14])


def test_answers_are_written_by_text_and_place(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "=film", "a", "##s"]
    write_answers(tmp_path / "a.csv", ANSWERS, ["x:1", "x:2", "x:3"], tokens)

    with (tmp_path / "a.csv").open() as file:
        rows = [*csv.DictReader(file)]

    assert [row["path"] for row in rows] == ["x:1", "x:1", "x:2", "x:3"]
    assert rows[0]["true"] == "'=film"  # no formula for a spreadsheet
    assert rows[3]["predicted"] == "##s"
    logs = [float(row["log_probability"]) for row in rows]
    assert logs == pytest.approx(ANSWERS.log_probabilities.tolist(), abs=1e-5)


def test_the_summary_names_both_metrics():
    text = masked_summary(masked_metrics(ANSWERS))

    assert "masked accuracy 0.7500" in text
    assert "perplexity      2.828" in text
    assert "4 masked tokens" in text
