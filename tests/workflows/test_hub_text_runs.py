"""Runs on networks of KerasHub for texts, from a preset to exports."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hub_text_networks import POSITIONS, TOKENS, row_of, write_preset
from kills import moments
from texts_runs import SPLITS, write_table

import keras_transfer
from keras_transfer import Classify, Stage, Text
from keras_transfer.config.groups import ALL_BACKBONES
from keras_transfer.errors import BadConfiguration, BadData, BadWeights
from keras_transfer.networks.text_backbones import TEXT_BACKBONES
from keras_transfer.workflows.reading import brought

pytest.importorskip("keras_hub")

RESULTS = ("history.csv", "metrics.json", "outputs.json", "predictions.csv", "vocabulary.txt")
STAGES = (
    Stage("head", epochs=1),
    Stage("tune", epochs=1, unfreeze="layer_2", learning_rate=1e-3, layer_decay=0.5),
)
TEXTS = ["A GOOD film", "dull, cold"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a table, where features are cached, too."""
    work = tmp_path_factory.mktemp("texts")
    write_table(work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(work / "cache"))
        yield work


@pytest.fixture(scope="module")
def table(work):
    return work / "reviews.csv"


@pytest.fixture(scope="module")
def preset(work):
    """A function that writes the preset of a family, of a backbone called "tiny"."""
    with pytest.MonkeyPatch.context() as patch:

        def write(family="bert", **more):
            for known in (TEXT_BACKBONES, ALL_BACKBONES):
                patch.setitem(known, "tiny", row_of(family))
            folder = work / "-".join(["preset", family, *map(str, more.values())])
            if not folder.exists():
                write_preset(family, folder, **more)
            return f"preset:{folder}"

        yield write


def recipe(table, weights, **more):
    settings = {
        "data": str(table),
        "input": Text(length=12),
        "backbone": "tiny",
        "weights": weights,
        "batch_size": 8,
        "stages": STAGES,
        "baselines": ("none",),
        "engine_error": 0.0,
    }
    return Classify(**{**settings, **more})


@pytest.fixture(scope="module")
def killed(work, table, preset):
    """A run on a BERT, and how its folder was before each operation on files."""
    home = work / "home"
    home.mkdir()
    with moments(home, work / "copies") as found:
        run = recipe(table, preset()).run(out=home / "run", name="tiny")
    return run, found


@pytest.fixture(scope="module")
def run(killed):
    return killed[0]


@pytest.fixture(scope="module")
def saved_model(run, work):
    return keras_transfer.export(run, work / "saved_model", format="saved_model")


def same_answers(export, run):
    expected = run.predict(TEXTS)
    for found, wanted in zip(export.predict(TEXTS), expected, strict=True):
        assert found.label == wanted.label
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=0.02)
    file = export.folder / export.format.assets / "vocabulary.txt"
    assert file.read_bytes() == (run.folder / "vocabulary.txt").read_bytes()


@pytest.mark.slow
def test_the_vocabulary_of_a_run_is_that_of_the_preset(run):
    assert (run.folder / "vocabulary.txt").read_text() == "".join(f"{t}\n" for t in TOKENS)
    assert json.loads((run.folder / "preprocessing.json").read_text())["lowercase"] is True


def test_a_killed_run_is_finished_as_if_it_had_not_been(killed, table, preset):
    run, found = killed
    whole = {name: (run.folder / name).read_bytes() for name in RESULTS}
    last = [one for one in found if one.operation == "open run/.history.part.csv"][-1]

    keras.utils.clear_session()
    again = recipe(table, preset()).run(out=last.folder / "run", name="tiny", resume=True)

    assert {name: (again.folder / name).read_bytes() for name in RESULTS} == whole


@pytest.mark.slow
def test_a_run_goes_on_with_the_vocabulary_that_it_began_with(killed, table, preset, tmp_path):
    """Whatever is in the folder of the preset by then."""
    _, found = killed
    first = next(one for one in found if one.operation == "open run/.history.part.csv")
    folder = tmp_path / "run"
    shutil.copytree(first.folder / "run", folder)
    *words, before, last = (folder / "vocabulary.txt").read_text().splitlines()
    (folder / "vocabulary.txt").write_text("\n".join([*words, last, before, ""]))
    with pytest.raises(BadWeights, match="another one than when the run"):
        recipe(table, preset()).run(out=folder, name="tiny", resume=True)


FORMS = [
    "saved_model",
    *(pytest.param(form, marks=pytest.mark.slow) for form in ("litert", "onnx", "keras")),
]


@pytest.mark.parametrize("form", FORMS)
def test_exports_answer_as_the_run(form, run, saved_model, work):
    """They are written only if they do on the examples of the test split."""
    made = form == "saved_model"
    export = saved_model if made else keras_transfer.export(run, work / form, format=form)
    same_answers(export, run)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["distil_bert", "electra"])
def test_other_families_run_and_are_exported(family, table, preset, work):
    run = recipe(table, preset(family)).run(name="tiny", out=work / family)
    for form in ("saved_model", "litert", "onnx", "keras"):
        same_answers(keras_transfer.export(run, work / f"{family}-{form}", format=form), run)


@pytest.mark.slow
def test_another_process_needs_neither_the_preset_nor_kerashub(run, saved_model, work):
    """The SavedModel is read by TensorFlow alone; the run by a process that starts afresh."""
    (expected,) = run.predict(["a good film"])
    away = (work / "preset-bert").rename(work / "away")
    code = f"""
import sys
import tensorflow as tf
model = tf.saved_model.load({str(saved_model.folder)!r})
answer = model.signatures["serving_default"](tf.constant(["a good film"]))
assert not {{"keras_hub", "tensorflow_text", "keras_transfer"}} & sys.modules.keys()
print({{name: value.numpy().tolist() for name, value in answer.items()}})
import keras_transfer
(found,) = keras_transfer.load({str(run.folder)!r}).predict(["a good film"])
print(found.label, *found.probabilities)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    away.rename(work / "preset-bert")

    assert said.returncode == 0, said.stderr
    exported, kept = said.stdout.splitlines()
    assert expected.label in exported
    label, *probabilities = kept.split()
    assert label == expected.label
    assert [*map(float, probabilities)] == pytest.approx([*expected.probabilities], abs=1e-5)


@pytest.mark.slow
def test_features_of_a_frozen_network_are_computed_once(run, table, preset, work, monkeypatch):
    monkeypatch.setenv("KT_CACHE_DIR", str(work / "cache"))
    solved = recipe(table, preset(), stages=(Stage("head", solver="logistic"),))
    again = solved.run(name="tiny", out=work / "solved")
    # Its last stage took those of the test split from another layer.
    assert again.metadata["features"]["head"]["computed"] == SPLITS.count("test")


def test_upper_case_stays_where_the_preset_keeps_it(preset, tmp_path):
    weights, text = preset(lowercase=False), Text(length=12)

    vocabulary = brought(text, "tiny", weights, tmp_path)

    for state in (vocabulary, text.load(tmp_path)):
        ids = text.bind(state).prepare(tf.constant(["a GOOD film"]))["token_ids"].numpy()[0]
        assert [TOKENS[number] for number in ids[:5]] == ["[CLS]", "a", "[UNK]", "film", "[SEP]"]
    with pytest.raises(BadConfiguration, match="is not one of lower-case words"):
        brought(Text(length=12, lowercase=True), "tiny", weights)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"input": Text(length=POSITIONS + 1)}, BadConfiguration, "2 to 24 tokens, not 25"),
        ({"stages": (Stage("tune", unfreeze="layer_9"),)}, BadConfiguration, "layer_0, layer_1"),
        ({"weights": "run:nowhere"}, BadConfiguration, "nowhere is no run folder"),
        ({"weights": "preset:nowhere"}, BadWeights, "there is no config.json in nowhere"),
    ],
)
def test_errors_show_before_the_data_are_read(preset, tmp_path, more, error, message):
    """The data are no table; but what the weights say is known without them."""
    data = tmp_path / "data.csv"
    data.write_text("no table")
    given = {"weights": preset(positions=POSITIONS), **more}
    with pytest.raises(error, match=message):
        recipe(data, **given).run(name="tiny", out=tmp_path / "run")


def test_a_vocabulary_with_words_twice_is_refused(table, preset, tmp_path):
    preset()
    write_preset("bert", tmp_path / "twice")
    file = tmp_path / "twice/assets/tokenizer/vocabulary.txt"
    file.write_text(file.read_text() + "film\n")
    with pytest.raises(BadData, match="'film': 2 times"):
        recipe(table, f"preset:{tmp_path / 'twice'}").run(name="tiny", out=tmp_path / "run")


def test_the_case_of_a_run_is_that_of_its_continuation(table, tmp_path):
    """Its embeddings are those of cased words: lower case would make others of them."""
    learnt = recipe(table, "none", backbone="transformer_tiny", stages=STAGES[:1])
    cased = learnt.changed(input={"lowercase": False}).run(name="tiny", out=tmp_path / "cased")

    text = Text(length=12)
    texts = tf.constant(["A Good film"])
    second = text.bind(brought(text, "transformer_tiny", f"run:{cased.folder}", tmp_path))

    for name in ("vocabulary.txt", "preprocessing.json"):
        assert (tmp_path / name).read_bytes() == (cased.folder / name).read_bytes()
    found, wanted = (one.prepare(texts)["token_ids"] for one in (second, cased.loading.input))
    np.testing.assert_array_equal(found, wanted)
    # Runs of earlier versions have no such file; their settings say it.
    (cased.folder / "preprocessing.json").unlink()
    assert keras_transfer.load(cased.folder).loading.input.lowercase is False


def test_published_weights_are_the_default_of_networks_that_have_them():
    weights = {name: Classify(data="x", backbone=name).backbone.weights for name in TEXT_BACKBONES}
    assert weights.pop("transformer_tiny") == weights.pop("transformer_small") == "none"
    assert set(weights.values()) == {"preset"}
