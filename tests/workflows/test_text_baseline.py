"""Runs on texts are compared with counted words."""

import csv

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.svm import LinearSVC


def test_counted_words_stand_beside_the_network(text_run):
    run = text_run()
    with open(run.settings["data"]["source"], newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts, labels = (
        {split: [row[name] for row in rows if row["split"] == split] for split in ("train", "test")}
        for name in ("text", "label")
    )
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    svm = LinearSVC().fit(words.fit_transform(texts["train"]), labels["train"])
    found = svm.predict(words.transform(texts["test"]))

    baseline = run.metrics["baselines"]["tfidf_svm"]
    assert baseline["accuracy"] == accuracy_score(labels["test"], found)
    assert baseline["macro_f1"] == f1_score(labels["test"], found, average="macro")
    assert f"tfidf_svm: accuracy {baseline['accuracy']:.4g}" in run.report()


def test_other_objectives_are_not_compared_with_them(text_run):
    assert [*text_run("tasks").metrics["baselines"]] == ["simple"]
