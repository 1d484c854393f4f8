"""Exports of several labels, of values and of two outputs: they answer as their run does."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from objectives_runs import OBJECTIVES, PRICE

import keras_transfer
from keras_transfer.errors import CheckFailed
from keras_transfer.exports import layouts
from keras_transfer.exports.foreign import foreign_operators

NAMES = list(OBJECTIVES)


@pytest.fixture(scope="module")
def paths(objective_run):
    folder = objective_run("labels").folder.parent / "images"
    return [folder / f"{place}.png" for place in range(12)]


@pytest.fixture(scope="module")
def contents(paths):
    return tf.constant([path.read_bytes() for path in paths])


@pytest.fixture(scope="module")
def squares():
    """Images of the network's own size: (5, 16, 16, 3) uint8."""
    return np.random.default_rng(5).integers(0, 256, (5, 16, 16, 3), "uint8")


@pytest.fixture(scope="module")
def ask(objective_export):
    """A function that gives the signatures of a row's SavedModel, by TensorFlow alone."""
    loaded = {}

    def ask(name):
        if name not in loaded:
            loaded[name] = tf.saved_model.load(str(objective_export(name).folder))
        return loaded[name].signatures

    return ask


def scores_of(run, paths):
    return {
        name: np.array([one.scores[name] for one in run.predict(paths)]) for name in run.outputs
    }


def outputs_of(run, pixels):
    """What the Keras model gives for uint8 pixels, by output, as float64 scores by hand."""
    found = run.model({"pixels": pixels.astype("float32")}, training=False)
    by_hand = {
        "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "linear": lambda x: x,
    }
    return {
        name: by_hand[output.objective.activation](np.asarray(found[name], "float64"))
        for name, output in run.outputs.items()
    }


RETURNED = {
    "labels": {"labels", "probabilities", "decided", "scores"},
    "values": {"values"},
    "tasks": {"colour_classes", "colour_probabilities", "colour_scores", "price_in_eur_values"},
}
EXPLAINED = {
    "labels": {"heat", "labels", "explained"},
    "values": {"heat"},
    "tasks": {"colour_heat", "colour_classes", "price_in_eur_heat"},
}
ALONE = {
    "labels": {"scores"},
    "values": {"values"},
    "tasks": {"colour_scores", "price_in_eur_values"},
}


@pytest.mark.parametrize("name", NAMES)
def test_inputs_and_outputs_have_names(ask, name):
    named = {
        signature: (set(one.structured_input_signature[1]), set(one.structured_outputs))
        for signature, one in ask(name).items()
    }

    assert named == {
        "serving_default": ({"image_bytes"}, RETURNED[name]),
        "predict_pixels": ({"pixels"}, RETURNED[name]),
        "embed": ({"image_bytes"}, {"features"}),
        "explain": ({"image_bytes"}, EXPLAINED[name]),
        "decode": ({"image_bytes"}, {"pixels"}),
        "forward": ({"pixels"}, ALONE[name]),
    }


def test_labels_come_with_what_is_decided(objective_run, ask, paths, contents):
    answers = {k: x.numpy() for k, x in ask("labels")["serving_default"](contents).items()}

    predictions = objective_run("labels").predict(paths)
    assert {label for one in predictions for label in one.label} >= {"blue", "red"}
    for place, wanted in enumerate(predictions):
        labels = [label.decode() for label in answers["labels"][place]]
        assert labels == [name for name, _ in wanted.top(3)]
        assert {*np.array(labels)[answers["decided"][place]]} == set(wanted.label)
        np.testing.assert_allclose(answers["scores"][place], wanted.probabilities, atol=1e-6)
        np.testing.assert_allclose(
            answers["probabilities"][place], sorted(wanted.probabilities, reverse=True), atol=1e-6
        )


def test_thresholds_are_those_fitted_on_the_val_split(objective_run, objective_export):
    fitted = objective_run("labels").outputs["label"].decision["thresholds"]

    assert len(set(fitted)) > 1  # else a graph with 0.5 for all would pass the tests above
    (stored,) = objective_export("labels").metadata["outputs"].values()
    assert stored["decision"]["thresholds"] == fitted


@pytest.mark.parametrize("name", ["values", "tasks"])
def test_values_are_in_the_units_of_the_data(objective_run, ask, paths, contents, name):
    wanted = scores_of(objective_run(name), paths)
    found = ask(name)["serving_default"](contents)

    if name == "values":
        np.testing.assert_allclose(found["values"], wanted["label"], rtol=1e-4)
        assert 100 < np.mean(found["values"][:, 0]) < 150  # between 100 and 150
    else:
        np.testing.assert_allclose(found["price_in_eur_values"], wanted[PRICE], rtol=1e-4)
        np.testing.assert_allclose(found["colour_scores"], wanted["colour"], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_and_the_two_halves_answer_as_bytes_do(ask, contents, name):
    whole = ask(name)["serving_default"](contents)
    squares = ask(name)["decode"](contents)["pixels"]
    halves = ask(name)["forward"](pixels=tf.cast(squares, tf.float32))

    for tensor, found in halves.items():
        np.testing.assert_allclose(found, whole[tensor], rtol=1e-4, atol=1e-6)
    for tensor, found in ask(name)["predict_pixels"](pixels=squares).items():
        if found.dtype.is_floating:
            np.testing.assert_allclose(found, whole[tensor], rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(found, whole[tensor])


def cam(run, pixels, kernel):
    """Grad-CAM behind mean pooling and one dense layer: maps weighed by the unit's kernel."""
    backbone = run.model.get_layer("backbone")
    maps = keras.ops.convert_to_numpy(backbone(pixels / 127.5 - 1, training=False))
    heat = np.maximum(np.einsum("bhwc,cu->buhw", maps, kernel), 0)
    return heat / np.maximum(heat.max((2, 3), keepdims=True), 1e-12)


def test_heat_is_that_of_each_decided_label_or_of_the_most_probable(
    objective_run, ask, paths, contents
):
    run = objective_run("labels")
    pixels = ask("labels")["decode"](contents)["pixels"].numpy().astype("float32")
    wanted = cam(run, pixels, run.model.get_layer("logits").get_weights()[0])

    found = {name: x.numpy() for name, x in ask("labels")["explain"](contents).items()}

    empty = 0
    for place, prediction in enumerate(run.predict(paths)):
        order = [run.classes.index(label.decode()) for label in found["labels"][place]]
        assert [run.classes[unit] for unit in order] == [name for name, _ in prediction.top(3)]
        meant = set(prediction.label) or {prediction.top(1)[0][0]}
        empty += not prediction.label
        for heat, unit, explained in zip(
            found["heat"][place], order, found["explained"][place], strict=True
        ):
            assert explained == (run.classes[unit] in meant)
            np.testing.assert_allclose(heat, wanted[place, unit] * explained, atol=1e-3)
    assert 0 < empty < len(paths)  # both cases are among them


def test_heat_of_values_is_what_raises_each(objective_run, ask, contents):
    run = objective_run("values")
    pixels = ask("values")["decode"](contents)["pixels"].numpy().astype("float32")

    found = ask("values")["explain"](contents)["heat"]

    kernel = run.model.get_layer("logits").get_weights()[0]  # the deviations are above 0
    np.testing.assert_allclose(found, cam(run, pixels, kernel), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_decisions_travel_inside(objective_run, objective_export, name):
    assets = objective_export(name).folder / "assets"
    stored = json.loads((assets / "outputs.json").read_text())

    assert stored == objective_export(name).metadata["outputs"]
    assert {key: tuple(row["names"]) for key, row in stored.items()} == {
        key: output.names for key, output in objective_run(name).outputs.items()
    }
    assert [row["prefix"] for row in stored.values()] == (
        ["colour_", "price_in_eur_"] if name == "tasks" else [""]
    )
    assert not (assets / "classes.json").exists()
    assert "classes" not in objective_export(name).metadata


NEAR = {
    ("saved_model", "none"): 1e-5,
    ("onnx", "none"): 1e-5,
    ("keras", "none"): 1e-5,
    ("litert", "none"): 1e-4,
    ("litert", "float16"): 0.02,
    ("litert", "dynamic"): 0.1,
    ("litert", "int8"): 0.3,
}
"""Largest difference from the run, in spreads, by format and quantization."""

FAST = [("saved_model", name) for name in NAMES] + [
    (form, name) for form in ("onnx", "keras", "litert") for name in ("labels", "tasks")
]


def is_fast(form, quantize, name):
    return ((form, name) in FAST and quantize == "none") or (quantize, name) == ("int8", "values")


WAYS = [
    pytest.param(*way, name, marks=[] if is_fast(*way, name) else pytest.mark.slow)
    for way in NEAR
    for name in NAMES
]
PACKAGES = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "keras": "keras"}


SPREAD = {
    ("labels", "label"): 1.0,
    ("values", "label"): [25.0, 3.5],  # of 100 and 150, of -3 and 4
    ("tasks", "colour"): 1.0,
    ("tasks", PRICE): 250.0,  # of 1000 and 1500
}


def decided(prediction):
    """Its answers, but for values."""
    return {
        name: answer
        for name, answer in prediction.answers().items()
        if prediction.outputs[name].objective.activation != "linear"
    }


@pytest.mark.parametrize(("form", "quantize", "name"), WAYS)
def test_every_format_answers_as_the_run_does(
    objective_run, objective_export, paths, form, quantize, name
):
    near = NEAR[form, quantize]
    pytest.importorskip(PACKAGES.get(form, "tensorflow"))
    run, done = objective_run(name), objective_export(name, form, quantize)

    assert done.outputs == run.outputs
    for ours, theirs in zip(done.predict(paths), run.predict(paths), strict=True):
        for output, scores in theirs.scores.items():
            apart = np.abs(ours.scores[output] - scores) / SPREAD[name, output]
            np.testing.assert_array_less(apart, near)
        if quantize == "none":
            assert decided(ours) == decided(theirs)
    parity = done.metadata["parity"]
    for found in parity.values() if name == "tasks" else [parity]:
        assert found["examples"] == 24
        assert found["largest_difference"] < near
        if quantize == "none":
            assert found["changed"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_an_export_has_the_metrics_of_its_run(objective_run, objective_export, name):
    table = str(objective_run(name).folder.parent / "table.csv")
    ours = objective_export(name).evaluate(table)
    theirs = objective_run(name).evaluate(table)

    assert ours.keys() == theirs.keys()
    if name == "tasks":
        assert ours["colour"]["accuracy"] == theirs["colour"]["accuracy"]
        assert ours[PRICE]["mae"] == pytest.approx(theirs[PRICE]["mae"], rel=1e-4)
    else:
        metric = {"labels": "micro_f1", "values": "mae"}[name]
        assert ours[metric] == pytest.approx(theirs[metric], rel=1e-4)
    assert objective_export(name).metrics["test"].keys() == theirs.keys()


BY_UNIT = {
    "labels": {"probabilities": "label"},
    "values": {"values": "label"},
    "tasks": {"colour_probabilities": "colour", "price_in_eur_values": PRICE},
}


@pytest.fixture(scope="module")
def by_format(objective_export):
    """A function that asks a row's file of a format, by that format's own runtime."""

    def onnx(folder, pixels):
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))

    def litert(folder, pixels):
        interpreter = pytest.importorskip("ai_edge_litert.interpreter")
        runner = interpreter.Interpreter(str(folder / "model.tflite")).get_signature_runner()
        rows = [runner(pixels=one[np.newaxis]) for one in pixels]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def keras_file(folder, pixels):
        model = keras.models.load_model(folder / "model.keras")
        found = model.predict(pixels, verbose=0)
        return found if isinstance(found, dict) else {model.output_names[0]: found}

    asks = {"onnx": onnx, "litert": litert, "keras": keras_file}
    return lambda name, form, pixels: asks[form](
        objective_export(name, form).folder, pixels.astype("float32")
    )


@pytest.mark.parametrize(
    "name", ["labels", "tasks", pytest.param("values", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("form", ["onnx", "litert", "keras"])
def test_files_for_other_runtimes_return_scores_by_unit(
    objective_run, by_format, squares, name, form
):
    run, found = objective_run(name), by_format(name, form, squares)

    wanted = outputs_of(run, squares)
    assert set(found) == {*BY_UNIT[name], *(["decided"] if name == "labels" else [])}
    for tensor, output in BY_UNIT[name].items():
        np.testing.assert_allclose(found[tensor], wanted[output], rtol=1e-3, atol=1e-4)
    if name == "labels":
        thresholds = run.outputs["label"].decision["thresholds"]
        assert found["decided"].dtype == bool
        np.testing.assert_array_equal(found["decided"], wanted["label"] >= np.array(thresholds))


def test_litert_holds_the_names_of_every_output(objective_export):
    pytest.importorskip("ai_edge_litert")
    for name, files in {
        "labels": {"labels.txt": "blue\nbright\nred\n"},
        "tasks": {
            "colour_labels.txt": "blue\ngrey\nred\nviolet\n",
            "price_in_eur_labels.txt": f"{PRICE}\n",
        },
    }.items():
        folder = objective_export(name, "litert").folder
        with zipfile.ZipFile(folder / "model.tflite") as archive:
            assert {one: archive.read(one).decode() for one in archive.namelist()} == files
        assert {one.name: one.read_text() for one in folder.glob("*.txt")} == files


def test_onnx_says_what_its_outputs_are(objective_export):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = objective_export("tasks", "onnx")
    session = onnxruntime.InferenceSession(str(done.folder / "model.onnx"))

    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["outputs"]) == done.metadata["outputs"]
    assert metadata["image_size"] == "16"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("labels", "another decision for 0 of 72 labels of 24 examples"),
        ("values", "0 of 48 values moved by more than 0.25 standard deviations"),
        ("tasks", "output colour: another class for 0 of 24 examples"),
    ],
)
def test_what_differs_from_the_model_is_not_written(objective_run, tmp_path, name, said):
    with pytest.raises(CheckFailed, match=said):
        keras_transfer.export(
            objective_run(name), tmp_path / "out", format="keras", max_difference=-1.0
        )

    assert not (tmp_path / "out").exists()


def test_a_wrong_graph_does_not_pass_the_gate(objective_run, tmp_path, monkeypatch):
    """Its probabilities are right, its decisions are not."""

    def decided_at_once(output, scores):
        return {"probabilities": scores, "decided": keras.ops.greater_equal(scores, 0.0)}

    monkeypatch.setitem(layouts.BY_UNIT, "sigmoid", decided_at_once)
    with pytest.raises(CheckFailed, match="another decision for"):
        keras_transfer.export(objective_run("labels"), tmp_path / "out", format="keras")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_written_is_foreign(objective_export, name):
    assert foreign_operators(objective_export(name).folder, "saved_model") == []
