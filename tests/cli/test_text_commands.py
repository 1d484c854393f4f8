"""``kt-recipe export`` and ``predict`` on texts."""

import json

import pytest
from processes import kt


def test_a_table_and_a_text_are_answered_by_run_and_export(text_run, text_export, tmp_path):
    sentences = ["a good film", "The plot is dull, and cold", "lovely"]
    rows = "".join(f'"{sentence}"\n' for sentence in sentences[:2])
    (tmp_path / "new.csv").write_text(f"text\n{rows}")
    wanted = text_run().predict(sentences)

    for folder in (text_run().folder, text_export().folder.parent):
        words = ("predict", folder, "new.csv", "lovely", "--format", "jsonl")
        done = kt(*words, cwd=tmp_path, check=0)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert [one["path"] for one in found] == ["new.csv:2", "new.csv:3", "lovely"]
        for row, one in zip(found, wanted, strict=True):
            assert row["top"][0]["class"] == one.label
            assert row["top"][0]["probability"] == pytest.approx(one.top(1)[0][1], abs=1e-5)


def test_a_table_that_is_not_there_is_a_text(text_run, tmp_path):
    done = kt("predict", text_run().folder, "good.csv", cwd=tmp_path, check=0)

    assert done.stdout.startswith("good.csv  ")


def test_int8_is_refused_with_a_way_out(text_run, tmp_path):
    pytest.importorskip("ai_edge_litert")
    words = ("export", text_run().folder, "--format", "litert", "--quantize", "int8")

    done = kt(*words, "--to", tmp_path / "out", cwd=tmp_path, check=2)

    assert "Take --quantize dynamic" in done.stderr
    assert not (tmp_path / "out").exists()
