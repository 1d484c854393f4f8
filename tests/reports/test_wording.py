import pytest

from keras_transfer.reports.wording import (
    interval,
    metrics_table,
    percent,
    rounded_down,
    short,
    table,
    visible,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat é 猫 🐈", "cat é 猫 🐈"),
        ("a\x00b\x1b", "a\\x00b\\x1b"),
        ("\u202eexe.gnp", "\\u202eexe.gnp"),  # would be shown from right to left
        ("caf\udce9", "caf\\udce9"),  # of a file name that is not UTF-8
        ("zero\u200bwidth", "zero\\u200bwidth"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(text, shown):
    assert visible(text) == shown
    assert visible(text).encode("utf-8")


def test_a_long_name_keeps_its_ends():
    assert short("a" * 30) == "a" * 30
    found = short("/data/" + "x" * 200 + "/cat.jpg", 40)
    assert len(found) == 40
    assert found.startswith("/data/")
    assert found.endswith("x/cat.jpg")
    assert short("two\nlines") == "two\\nlines"


def test_numbers():
    assert percent(0.9664) == "96.6 %"
    assert percent(None) == "-"
    assert interval([0.5, 0.75]) == "50.0 to 75.0 %"
    assert interval(None) == "-"


def test_metrics_with_intervals_and_baselines():
    test = {"n": 9, "accuracy": 0.75, "accuracy_interval": [0.5, 0.875], "f": {}, "roc_auc": 1.0}
    found = metrics_table(test, {"accuracy": 0.5}, {"majority": {"accuracy": 0.25}})
    assert found.header == ["metric", "test", "95 % interval", "val", "baseline majority"]
    assert found.rows == [
        ["accuracy", "0.7500", "0.5000 to 0.8750", "0.5000", "0.2500"],
        ["ROC AUC", "1.0000", "-", "-", "-"],
    ]


def test_long_tables_are_cut():
    found = table(["n"], [[number] for number in range(310)])
    assert (len(found.rows), found.left_out) == (300, 10)


@pytest.mark.parametrize(
    ("threshold", "shown"),
    [(1.0, "1.000"), (0.5006, "0.500"), (0.99995, "0.999950"), (0.999849, "0.99984")],
)
def test_a_threshold_accepts_what_it_did(threshold, shown):
    found = rounded_down(threshold)
    assert found == shown
    assert float(found) <= threshold
