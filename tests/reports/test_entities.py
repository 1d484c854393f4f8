"""Mistakes of a network that labels words, by hand, and on its page."""

import numpy as np
from html_pages import Page

from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.reports.entities import entity_mistakes
from keras_transfer.reports.writing import write_report

NAMES = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def labelled(*sentences):
    rows = [[NAMES.index(name) for name in sentence.split()] for sentence in sentences]
    width = max(map(len, rows))
    return np.array([row + [-1] * (width - len(row)) for row in rows])


def test_mistakes_are_sorted_by_what_is_wrong():
    true = labelled("B-PER I-PER O B-LOC", "B-LOC O", "B-PER O O", "O O B-LOC")
    said = labelled("B-PER O O B-PER", "O O", "B-PER O B-LOC", "O O B-LOC")
    keys = np.array(["a", "b", "c", "d"], object)

    found = entity_mistakes(Predicted(keys, true, np.zeros((4, 4, 5)), said, NAMES))

    sorts = {place: [one.sort for one in mistakes] for place, mistakes in found.found.items()}
    assert sorts == {0: ["other words", "other type"], 1: ["missed"], 2: ["extra"]}
    assert found.counts().header == ["type", "missed", "other type", "other words", "extra"]
    assert found.counts().rows == [["LOC", "1", "1", "0", "1"], ["PER", "0", "0", "1", "0"]]


def test_the_page_of_a_run(token_run):
    page = Page(write_report(token_run.folder).read_text("utf-8")).check()

    metrics = token_run.metrics["test"]["per_type"]
    types = {row[0]: row for row in page.table("type", "precision")}
    header = next(rows[0] for rows in page.tables if rows[0][:2] == ["type", "precision"])
    for name, row in metrics.items():
        assert types[name][header.index("F1")] == f"{row['f1']:.4f}"
        assert types[name][header.index("support")] == str(row["support"])
    # Of each type: true entities less right ones are those of the first three columns.
    for name, missed, other_type, other_words, _ in page.table("type", "missed"):
        right = round(metrics[name]["recall"] * metrics[name]["support"])
        lost = int(missed) + int(other_type) + int(other_words)
        assert lost == metrics[name]["support"] - right
    weakest = min(metrics, key=lambda name: metrics[name]["f1"])
    assert f"It is weakest on “{weakest}” (F1 {metrics[weakest]['f1']:.4f};" in page.said
    assert "taken for" in page.said or "missed:" in page.said
    assert "kt-recipe rank" not in page.said
