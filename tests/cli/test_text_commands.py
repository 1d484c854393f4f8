"""``kt-recipe export``, ``predict`` and ``domains`` on texts."""

import csv
import json
import random

import pytest
from processes import kt
from texts_runs import BAD, GOOD, OTHER

from keras_transfer.errors import BadData
from keras_transfer.studies.domains import compare_domains


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


def write_texts(path, seed, n, label=True, words=OTHER):
    """Made-up reviews as those of ``texts_runs``, with other words where they are given."""
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"] if label else ["text"])
        for place in range(n):
            said = rng.sample(GOOD if place % 2 else BAD, 3) + rng.choices(words, k=5)
            rng.shuffle(said)
            writer.writerow([" ".join(said), *(["bad", "good"][place % 2] for _ in range(label))])


def test_domains_of_texts(text_run, tmp_path):
    """Its features are those behind the pooling of the tokens; 16 held-out texts are too few."""
    run = text_run()
    write_texts(tmp_path / "held_out.csv", 1, 60)
    write_texts(tmp_path / "other.csv", 2, 60, label=False, words=["tram", "quay"])
    target = tmp_path / "other.csv"
    with pytest.raises(BadData, match="16 distinct examples in its val and test splits"):
        compare_domains(run.folder, target, out=tmp_path / "none")
    data = str(tmp_path / "held_out.csv")
    folder, found = compare_domains(run.folder, target, data=data, out=tmp_path / "report")

    assert found["target"]["labelled"] is False
    assert found["distances"]["distinguishable"]
    assert found["accuracy"]["agreement"] is None  # there is no train split in the data given
    assert (folder / "to_label.csv").read_text().startswith("text,label,predicted\n")
