"""Runs on pairs of texts: data, networks with and without segments, resume, exports, refusals."""

import csv
import html
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hub_text_networks import row_of, write_preset
from kills import moments
from pairs_runs import COLUMNS, PAIRS, SPLITS, pair_recipe, write_pairs
from processes import kt

import keras_transfer
from keras_transfer import Data, Stage, TextPair
from keras_transfer.config.groups import ALL_BACKBONES
from keras_transfer.data.samples import Samples
from keras_transfer.data.texts import Texts
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed
from keras_transfer.networks.text_backbones import TEXT_BACKBONES
from keras_transfer.reports.examples import Examples
from keras_transfer.reports.gallery import Gallery
from keras_transfer.reports.writing import write_report
from keras_transfer.runs.split_table import read_rows
from keras_transfer.workflows.domain_files import _to_label

RESULTS = ("history.csv", "metrics.json", "outputs.json", "predictions.csv", "vocabulary.txt")


def test_a_run_reads_glue_tables(pair_run):
    """A byte order mark, a quote that means nothing, names of columns of its own."""
    rows = read_rows(pair_run.split)

    assert [row["split"] for row in rows] == SPLITS
    assert {row["label"] for row in rows} == {"0", "1"}
    assert pair_run.samples(["train"]).store.raw([3])[0][0].startswith('"')
    assert set(pair_run.metrics["baselines"]) == {"majority", "tfidf_svm"}
    assert pair_run.metrics["baselines"]["tfidf_svm"]["accuracy"] > 0.9  # same words or not


def test_pairs_are_answered_and_others_refused(pair_run, tmp_path):
    found = pair_run.predict(PAIRS)
    assert [one.path for one in found] == [f"{a} | {b}" for a, b in PAIRS]
    swapped = pair_run.predict([pair[::-1] for pair in PAIRS])
    assert not np.allclose(found[1].probabilities, swapped[1].probabilities)

    with pytest.raises(BadData, match=r"takes pairs of texts; found 'good film'\. Give a \.csv"):
        pair_run.predict("good film")
    with pytest.raises(BadData, match="columns #1 String and #2 String"):
        pair_run.predict(["good film", "film good"])
    with pytest.raises(BadData, match="takes pairs of texts"):
        pair_run.predict([("a", "b", "c")])
    assert pair_run.predict([("good", " ")])[0].error == "#2 String is empty"


def test_a_table_of_pairs_is_answered_by_run_and_export(pair_run, pair_export, tmp_path):
    with (tmp_path / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("#2 String", "#1 String"), *(pair[::-1] for pair in PAIRS)])
    wanted = pair_run.predict(PAIRS)

    for folder in (pair_run.folder, pair_export().folder):
        words = ("predict", folder, "new.csv", "--format", "jsonl")
        done = kt(*words, cwd=tmp_path, check=0)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        for row, one in zip(found, wanted, strict=True):
            assert row["top"][0]["class"] == one.label
            assert row["top"][0]["probability"] == pytest.approx(one.top(1)[0][1], abs=1e-5)
    done = kt("predict", pair_run.folder, "good film", cwd=tmp_path, check=3)
    assert "The model takes pairs of texts; found 'good film'" in done.stderr


FORMS = ["saved_model", *(pytest.param(f, marks=pytest.mark.slow) for f in ("litert", "onnx"))]


@pytest.mark.parametrize("form", FORMS)
def test_exports_answer_as_the_run(form, pair_run, pair_export):
    export, wanted = pair_export(form), pair_run.predict(PAIRS)

    for found, one in zip(export.predict(PAIRS), wanted, strict=True):
        assert found.probabilities == pytest.approx(one.probabilities, abs=1e-4)
    record = json.loads((export.folder / export.format.assets / "preprocessing.json").read_text())
    assert "[SEP] text_b [SEP]" in record["tokens"]
    assert export.evaluate(pair_run.settings["data"]["source"])["accuracy"] == pytest.approx(
        pair_run.metrics["test"]["accuracy"]
    )


@pytest.mark.slow
def test_the_saved_model_needs_tensorflow_alone(pair_run, pair_export):
    """Its default signature takes two strings by name, the other one tokens and segments."""
    (wanted,) = pair_run.predict(PAIRS[1:2])
    code = f"""
import sys
import tensorflow as tf
model = tf.saved_model.load({str(pair_export().folder)!r})
a, b = (tf.constant([text]) for text in {PAIRS[1]!r})
found = model.signatures["serving_default"](text_a=a, text_b=b)
tokens = model.signatures["tokenize"](text_a=a, text_b=b)
assert sorted(tokens) == ["padding_mask", "segment_ids", "token_ids"]
forward = model.signatures["forward"](**tokens)
assert not {{"keras_hub", "tensorflow_text", "keras_transfer"}} & sys.modules.keys()
print(*found["scores"].numpy()[0], *forward["scores"].numpy()[0])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert said.returncode == 0, said.stderr
    expected = [*wanted.probabilities, *wanted.probabilities]
    assert [*map(float, said.stdout.split())] == pytest.approx(expected, abs=1e-5)


def test_the_report_shows_both_texts(pair_run):
    rows = read_rows(pair_run.split)
    examples = Examples(pair_run, rows)
    wrong = next(row["path"] for row in rows if row["split"] == "test")
    image, text = Gallery(examples)._read(wrong)
    first, second = pair_run.samples(["test"]).store.raw(pair_run.samples(["test"]).rows[:1])[0]

    assert (image, text) == ("", f"{first} | {second}")
    assert not examples.missing
    page = html.unescape(write_report(pair_run.folder).read_text("utf-8"))
    assert "PAIRS.csv" in page
    assert f"{first} | {second}" in page


def pairs_in(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text_a", "text_b", "label", "split"), *rows])
    return path


PLAIN = {"data": None, "input": TextPair(length=14, vocabulary_size=60)}


def test_the_same_pair_in_two_splits_is_a_leak(tmp_path):
    rows = [(a, b, str(n % 2), "train") for n, (a, b) in enumerate([*PAIRS, *PAIRS[:2]])]
    leaky = [*rows, (*PAIRS[0], "0", "test"), (*PAIRS[0][::-1], "0", "test")]
    file = pairs_in(tmp_path / "pairs.csv", leaky)
    recipe = pair_recipe(file).changed(**{**PLAIN, "data": Data(str(file), strict=True)})

    with pytest.raises(CheckFailed, match=r"in two splits, 1 times") as error:
        recipe.run(out=tmp_path / "run", name="pairs")
    assert "pairs.csv:2 = pairs.csv:5 = pairs.csv:7" in str(error.value)


def test_columns_that_are_not_there_are_named(tmp_path):
    file = pairs_in(tmp_path / "pairs.csv", [(*PAIRS[0], "0", "train")])
    recipe = pair_recipe(file)
    with pytest.raises(BadData, match="should have the columns #1 string, #2 string and quality"):
        recipe.run(out=tmp_path / "run", name="pairs")
    named = recipe.changed(input={"column": "text_a", "second_column": "text_b"})
    with pytest.raises(BadData, match=r"lacks a column\. No column is called 'quality'"):
        named.run(out=tmp_path / "other", name="pairs")


def test_label_column_is_for_tables(tmp_path):
    with pytest.raises(BadConfiguration, match=r"label_column = y: .* is no \.csv or \.tsv table"):
        keras_transfer.Classify(
            data=Data("sklearn:digits", label_column="y"), backbone="convnet_small", weights="none"
        ).run(out=tmp_path / "run", name="digits")


def test_the_list_to_label_has_both_columns():
    samples = Samples.of(Texts(PAIRS), ["x"], ["1", "2", "3"], [0, 0, 0])
    header, rows = _to_label(samples, np.array(["x"] * 3, object))
    assert header == ["text_a", "text_b", "label", "predicted"]
    assert rows[0] == [*PAIRS[0], "", "x"]


@pytest.mark.parametrize("grouped", [True, False])
def test_the_log_says_how_much_is_padding(grouped, tmp_path, caplog):
    """Once a run, and only where it is done."""
    caplog.set_level("INFO", "keras_transfer")
    given = TextPair(length=24, vocabulary_size=80, group_by_length=grouped, **COLUMNS)
    stages = (Stage("all", epochs=1, unfreeze="all"),)
    recipe = pair_recipe(write_pairs(tmp_path), input=given, stages=stages, baselines=("none",))
    run = recipe.run(name="pairs", out=tmp_path / "run")

    lines = [record.getMessage() for record in caplog.records]
    (lengths,) = [line for line in lines if line.startswith("Texts have ")]
    assert "length 24 truncates 0.0% of them" in lengths
    said = [line for line in lines if line.startswith("Batches of similar length")]
    assert len(said) == grouped
    # The model that is kept takes the full length.
    assert run.model.input["token_ids"].shape == (None, 24)


ON_TWO = """
import sys
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, 2 * [tf.config.LogicalDeviceConfiguration()])
from pathlib import Path
sys.path.insert(0, "tests")
from keras_transfer import TextPair
from pairs_runs import COLUMNS, pair_recipe, write_pairs
folder = Path(sys.argv[1])
given = TextPair(length=24, vocabulary_size=80, **COLUMNS)
for strategy in ("one_device", "mirrored"):
    more = {"strategy": strategy, "baselines": ("none",), "batch_size": 6, "input": given}
    run = pair_recipe(folder / "pairs.tsv", **more).run(name="pairs", out=folder / strategy)
    print(*[row[name] for row in run.history for name in ("loss", "val_loss")])
"""


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path):
    """40 pairs in batches of 6: seven steps, the last of which has four pairs."""
    write_pairs(tmp_path)
    words = [sys.executable, "-c", ON_TWO, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    one, two = (list(map(float, line.split())) for line in done.stdout.splitlines()[-2:])
    assert len(one) == 6
    assert two == pytest.approx(one, rel=1e-4)


# --- networks of KerasHub ---------------------------------------------------------------------

pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("pair_runs")
    write_pairs(work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(work / "cache"))
        yield work


@pytest.fixture(scope="module")
def hub_recipe(work):
    """A function that gives a recipe on the tiny network of a family."""
    with pytest.MonkeyPatch.context() as patch:

        def recipe(family="bert", **more):
            for known in (TEXT_BACKBONES, ALL_BACKBONES):
                patch.setitem(known, "tiny", row_of(family))
            folder = work / f"preset-{family}"
            if not folder.exists():
                write_preset(family, folder)
            head = Stage("head", epochs=1)
            tune = Stage("tune", epochs=1, unfreeze="layer_2", learning_rate=1e-3)
            settings = {
                "backbone": "tiny",
                "weights": f"preset:{folder}",
                "input": TextPair(length=14, **COLUMNS),
                "stages": (head, tune),
                "baselines": ("none",),
                "engine_error": 0.0,
            }
            return pair_recipe(work / "pairs.tsv", **{**settings, **more})

        yield recipe


@pytest.fixture(scope="module")
def killed(work, hub_recipe):
    """A run on a BERT, and how its folder was before each operation on files."""
    home = work / "home"
    home.mkdir()
    with moments(home, work / "copies") as found:
        run = hub_recipe().run(out=home / "run", name="tiny")
    return run, found


def kerashubs_own(folder, run, pairs):
    """Features of KerasHub's network and packer, pooled and put through the run's head."""
    import keras_hub

    network = keras_hub.models.BertBackbone.from_preset(str(folder))
    for layer in network.layers:  # the run has tuned some of them
        for ours in run.model.layers:
            if layer.name.startswith("transformer_layer_") and ours.name == layer.name.replace(
                "transformer_", ""
            ):
                layer.set_weights(ours.get_weights())
    tokenizer = keras_hub.models.BertTokenizer.from_preset(str(folder), strip_accents=True)
    packer = keras_hub.layers.MultiSegmentPacker(14, 2, 3, pad_value=0)
    ids, segments = packer(tuple(tokenizer(tf.constant(x)) for x in zip(*pairs, strict=True)))
    inputs = {"token_ids": ids, "segment_ids": segments, "padding_mask": ids != 0}
    sequence = np.asarray(network(inputs)["sequence_output"], "float64")
    mask = inputs["padding_mask"].numpy()
    pooled = (sequence * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    kernel, bias = run.model.layers[-1].get_weights()
    logits = pooled @ kernel + bias
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


@pytest.mark.slow
def test_a_tuned_bert_answers_as_kerashubs_with_segments(killed, work):
    run, _ = killed
    pairs = [("a GOOD film", "lovely"), ("dull", "bright, cold and noisy"), ("it is", "the plot")]
    found = np.stack([one.probabilities for one in run.predict(pairs)])

    assert [*run.model.input] == ["token_ids", "padding_mask", "segment_ids"]
    wanted = kerashubs_own(work / "preset-bert", run, pairs)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_killed_run_is_finished_as_if_it_had_not_been(killed, hub_recipe):
    run, found = killed
    whole = {name: (run.folder / name).read_bytes() for name in RESULTS}
    last = [one for one in found if one.operation == "open run/.history.part.csv"][-1]

    keras.utils.clear_session()
    again = hub_recipe().run(out=last.folder / "run", name="tiny", resume=True)

    assert {name: (again.folder / name).read_bytes() for name in RESULTS} == whole


@pytest.mark.slow
def test_features_of_pairs_are_computed_once(killed, hub_recipe, work, tmp_path, monkeypatch):
    """Those of the head's stage are in the cache, but for the test split."""
    monkeypatch.setenv("KT_CACHE_DIR", str(work / "cache"))
    solved = hub_recipe(stages=(Stage("head", solver="logistic"),))
    again = solved.run(name="tiny", out=tmp_path / "solved")

    assert again.metadata["features"]["head"]["computed"] == SPLITS.count("test")
    assert again.metadata["features"]["head"]["cached"] >= SPLITS.count("train")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["distil_bert", "electra"])
def test_other_families_run_and_are_exported(family, hub_recipe, work):
    """DistilBERT has no segments: its pairs are packed with separators alone."""
    run = hub_recipe(family).run(name="tiny", out=work / family)
    segments = ["segment_ids"] * (family == "electra")
    assert [*run.model.input] == ["token_ids", "padding_mask", *segments]
    assert run.loading.input.metadata["inputs"] == [*run.model.input]
    wanted = run.predict(PAIRS)
    for form in ("saved_model", "litert", "onnx"):
        export = keras_transfer.export(run, work / f"{family}-{form}", format=form)
        for found, one in zip(export.predict(PAIRS), wanted, strict=True):
            assert found.probabilities == pytest.approx(one.probabilities, abs=1e-3)


def test_the_recipe_reads_mrpc(shared_data):
    import recipes.bert_mrpc as module

    recipe = module.recipe.changed(data={"source": str(shared_data / "text/mrpc")})
    assert recipe.data.label_column == "Quality"
    assert recipe.input.text_columns == ("#1 String", "#2 String")
    assert Path(recipe.data.source).is_dir()
