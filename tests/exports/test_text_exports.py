"""Exports of texts: a string in, names out, and the answers and tokens of the run."""

import json
import shutil
import subprocess
import sys

import bert_tokenization as bert
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf import saved_model_pb2
from texts_runs import NAMES, STARS

import keras_transfer
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed
from keras_transfer.exports.foreign import foreign_operators

LENGTH = 12

SENTENCES = ["a good film", "The plot is DULL, and cold!", "lovely", "noisy noisy noisy " * 9]
HOSTILE = [
    "",
    " \t\n\u2028",
    "good 👍🏽 film 👩‍👩‍👧‍👦!!",
    "Créme Bru\u0302le\u0301e q\u0323\u0307",
    "我爱lovely語言。𠀀",
    "good " * 5000,
    "g" * 100_000,
    "a\x00b\u200b[CLS] ##d",
    b"a\xffb \xfe good",
    b"bad \xe4\xb8",
    b"\xed\xa0\x80\xed\xb0\x80 plot",
]
STRANGE = "aAbdéÉßİıΣσςʰ'.,!#中한👍１ﬁ \u0301\u0323\u302e\u200d\u00a0\u2028\t\x00\ufffd"


@pytest.fixture(scope="module")
def ask(text_export):
    """A function that gives the signatures of a row's SavedModel, by TensorFlow alone."""
    loaded = {}

    def ask(name="classes"):
        if name not in loaded:
            loaded[name] = tf.saved_model.load(str(text_export(name).folder))
        return loaded[name].signatures

    return ask


@pytest.fixture(scope="module")
def tokens(text_export):
    """A function that gives ids and mask of texts, by plain Python and the export's own file."""
    file = text_export().folder / "assets" / "vocabulary.txt"
    listed = file.read_text("utf-8").split("\n")[:-1]

    def tokens(texts):
        ids = np.zeros((len(texts), LENGTH), "int32")
        mask = np.zeros((len(texts), LENGTH), bool)
        for row, text in enumerate(texts):
            words = ["[CLS]", *bert.tokens(text, set(listed))[: LENGTH - 2], "[SEP]"]
            ids[row, : len(words)] = [listed.index(word) for word in words]
            mask[row, : len(words)] = True
        return {"token_ids": ids, "padding_mask": mask}

    return tokens


def raw(texts):
    return tf.constant([x if isinstance(x, bytes) else x.encode() for x in texts], tf.string)


def scores_of(run, texts):
    return {
        name: np.array([one.scores[name] for one in run.predict(texts)]) for name in run.outputs
    }


RANKED = {"classes", "probabilities", "scores"}
RETURNED = {
    "classes": RANKED,
    "about": {"about_labels", "about_probabilities", "about_decided", "about_scores"},
    "values": {"values"},
    "tasks": {*(f"label_{name}" for name in RANKED), "stars_of_5_values"},
}
ALONE = {
    "classes": {"scores"},
    "about": {"about_scores"},
    "values": {"values"},
    "tasks": {"label_scores", "stars_of_5_values"},
}
TOKENS = {"token_ids", "padding_mask"}


@pytest.mark.parametrize("name", NAMES)
def test_inputs_and_outputs_have_names(ask, name):
    named = {
        signature: (set(one.structured_input_signature[1]), set(one.structured_outputs))
        for signature, one in ask(name).items()
    }

    classify = {"classify": ({"inputs"}, {"classes", "scores"})} if name == "classes" else {}
    assert named == {
        "serving_default": ({"text"}, RETURNED[name]),
        "embed": ({"text"}, {"features"}),
        "tokenize": ({"text"}, TOKENS),
        "forward": (TOKENS, ALONE[name]),
        **classify,
    }


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_answered_as_the_run_does(text_run, ask, name):
    found = ask(name)["serving_default"](text=raw(SENTENCES))

    for output, wanted in scores_of(text_run(name), SENTENCES).items():
        prefix = "" if name in ("classes", "values") else output.replace("-", "_")
        prefix = {STARS: "stars_of_5_", "about": "about_"}.get(output, prefix and f"{prefix}_")
        kind = "values" if output == STARS or name == "values" else "scores"
        np.testing.assert_allclose(found[prefix + kind], wanted, atol=1e-5)


def test_names_come_best_first(text_run, ask):
    found = ask()["serving_default"](text=raw(SENTENCES))

    for place, wanted in enumerate(text_run().predict(SENTENCES)):
        names = [name.decode() for name in found["classes"][place].numpy()]
        assert names == [name for name, _ in wanted.top(2)]


@pytest.mark.slow
def test_labels_come_with_what_is_decided(text_run, ask):
    found = {k: x.numpy() for k, x in ask("about")["serving_default"](text=raw(SENTENCES)).items()}

    for place, wanted in enumerate(text_run("about").predict(SENTENCES)):
        labels = np.array([label.decode() for label in found["about_labels"][place]])
        decided = labels[found["about_decided"][place]]
        assert {*decided} == set(wanted.answers()["about"])


def test_tokens_of_hostile_texts_are_those_of_bert(ask, tokens):
    found = ask()["tokenize"](text=raw(HOSTILE))

    for name, wanted in tokens(HOSTILE).items():
        np.testing.assert_array_equal(found[name], wanted)


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(st.text(), st.text(st.sampled_from(STRANGE)), st.binary()),
        min_size=1,
        max_size=5,
    )
)
def test_tokens_of_any_texts_are_those_of_bert(ask, tokens, texts):
    found = ask()["tokenize"](text=raw(texts))

    for name, wanted in tokens(texts).items():
        np.testing.assert_array_equal(found[name], wanted)


def test_hostile_texts_are_answered_as_the_network_answers_their_tokens(text_run, ask, tokens):
    logits = text_run().model(tokens(HOSTILE), training=False)["label"]
    odds = np.exp(np.asarray(logits, "float64"))

    found = ask()["serving_default"](text=raw(HOSTILE))["scores"]

    np.testing.assert_allclose(found, odds / odds.sum(axis=1, keepdims=True), atol=1e-6)


def test_forward_takes_what_tokenize_gives(ask):
    inputs = ask()["tokenize"](text=raw(SENTENCES))

    scores = ask()["forward"](**inputs)["scores"]

    np.testing.assert_allclose(
        scores, ask()["serving_default"](text=raw(SENTENCES))["scores"], atol=1e-6
    )


def test_features_are_the_mean_over_the_tokens(text_run, ask, tokens):
    """Whatever stands in the places of padding."""
    inputs, run = tokens(SENTENCES), text_run()
    backbone = keras.Model(run.model.input, run.model.get_layer("backbone").output)
    sequence = np.asarray(backbone(inputs, training=False))
    wanted = [
        x[mask].mean(axis=0) for x, mask in zip(sequence, inputs["padding_mask"], strict=True)
    ]

    found = ask()["embed"](text=raw(SENTENCES))["features"]

    assert found.shape == (4, 32)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_classify_takes_examples(text_export, ask):
    def example(text):
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
        return tf.train.Example(features={"feature": {"text": feature}}).SerializeToString()

    found = ask()["classify"](inputs=tf.constant([example(text) for text in SENTENCES]))
    wanted = ask()["serving_default"](text=raw(SENTENCES))

    np.testing.assert_array_equal(found["classes"], wanted["classes"])
    np.testing.assert_allclose(found["scores"], wanted["probabilities"], atol=1e-6)
    file = text_export().folder / "saved_model.pb"
    (graph,) = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    assert graph.signature_def["classify"].method_name == "tensorflow/serving/classify"


WITHOUT_US = """
import json, sys
class Refusing:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "keras_transfer":
            raise ImportError(name)
sys.meta_path.insert(0, Refusing())
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
texts = tf.constant([text.encode() for text in json.loads(sys.argv[2])])
answer = loaded.signatures["serving_default"](text=texts)
print(json.dumps({
    "classes": [[name.decode() for name in row] for row in answer["classes"].numpy()],
    "scores": answer["scores"].numpy().tolist(),
}))
"""


def test_it_answers_where_there_is_tensorflow_alone(text_run, text_export, tmp_path):
    words = [sys.executable, "-c", WITHOUT_US, str(text_export().folder), json.dumps(SENTENCES)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = text_run().predict(SENTENCES)
    assert [row[0] for row in found["classes"]] == [one.label for one in wanted]
    np.testing.assert_allclose(found["scores"], [one.probabilities for one in wanted], atol=1e-6)


def test_vocabulary_and_settings_travel_inside(text_run, text_export):
    run, assets = text_run(), text_export().folder / "assets"

    vocabulary = (run.folder / "vocabulary.txt").read_bytes()
    assert (assets / "vocabulary.txt").read_bytes() == vocabulary
    told = json.loads((assets / "preprocessing.json").read_text())
    assert (told["length"], told["lowercase"]) == (12, True)
    assert json.loads((assets / "classes.json").read_text()) == ["bad", "good"]
    metadata = text_export().metadata
    assert metadata["input"] == run.loading.input.metadata
    assert "image_size" not in metadata
    assert metadata["parity"]["examples"] == 40  # all that the run has are fewer than 64
    assert (metadata["parity"]["changed"], metadata["test"]["n"]) == (0, 40)


def test_every_weight_is_there_once(text_run, text_export):
    data = text_export().folder / "variables" / "variables.data-00000-of-00001"
    weights = sum(weight.nbytes for weight in text_run().model.get_weights())

    assert weights <= data.stat().st_size < 1.05 * weights + 20_000


def test_the_requests_for_warming_up_are_texts(text_export):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = text_export().folder / "assets.extra" / "tf_serving_warmup_requests"
    counts = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = logs.PredictionLog.FromString(record).predict_log.request
        texts = tf.make_ndarray(request.inputs["text"])
        assert all(len(text.decode().split()) == LENGTH for text in texts)
        counts.append(len(texts))
    assert counts == [1, 8]


# --- by the commands of a run -----------------------------------------------------------------

WAYS = [("saved_model", "none"), ("keras", "none"), ("onnx", "none"), ("litert", "none")]
WAYS += [("litert", "float16"), ("litert", "dynamic")]
PACKAGES = {"litert": "ai_edge_litert", "onnx": "onnxruntime"}
SLOW = [(way, "tasks") for way in WAYS if way[0] != "saved_model"]
SLOW += [(("litert", "float16"), "classes"), (("litert", "dynamic"), "classes")]


@pytest.mark.parametrize(
    ("form", "quantize", "name"),
    [
        pytest.param(*way, name, marks=pytest.mark.slow if (way, name) in SLOW else [])
        for way in WAYS
        for name in ("classes", "tasks")
    ],
)
def test_it_predicts_and_evaluates_as_the_run_does(text_run, text_export, name, form, quantize):
    pytest.importorskip(PACKAGES.get(form, "keras"))
    run, done = text_run(name), keras_transfer.Export(text_export(name, form, quantize).folder)
    atol = {"none": 1e-5, "float16": 0.01, "dynamic": 0.1}[quantize]

    for output, wanted in scores_of(run, SENTENCES).items():
        np.testing.assert_allclose(scores_of(done, SENTENCES)[output], wanted, atol=atol)
    refused, answered = done.predict([" ", "a good film"])
    assert (refused.error, answered.error) == ("is empty", "")
    if (quantize, name) == ("none", "classes"):
        table = str(run.folder.parent / "reviews.csv")
        assert done.evaluate(table)["log_loss"] == pytest.approx(
            run.evaluate(table)["log_loss"], abs=1e-5
        )


def onnx(folder, inputs):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(folder / "model.onnx"))
    assert json.loads(session.get_modelmeta().custom_metadata_map["input"])["length"] == LENGTH
    return session.run(["probabilities"], inputs)[0]


def litert(folder, inputs):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    one_by_one = interpreter.Interpreter(str(folder / "model.tflite")).get_signature_runner()
    rows = range(len(inputs["token_ids"]))
    found = [one_by_one(**{name: x[row : row + 1] for name, x in inputs.items()}) for row in rows]
    return np.concatenate([one["probabilities"] for one in found])


def keras_file(folder, inputs):
    return keras.models.load_model(folder / "model.keras").predict(inputs, verbose=0)


@pytest.mark.parametrize(
    ("form", "answer"), [("onnx", onnx), ("litert", litert), ("keras", keras_file)]
)
def test_other_formats_take_the_tokens_of_their_vocabulary(
    text_run, text_export, tokens, form, answer
):
    """Tokens by plain Python: what a caller of such a file has to do."""
    folder = text_export(form=form).folder
    assert (folder / "vocabulary.txt").is_file()
    assert (folder / "preprocessing.json").is_file()

    found = answer(folder, tokens(SENTENCES))

    wanted = [one.probabilities for one in text_run().predict(SENTENCES)]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


# --- refusals ---------------------------------------------------------------------------------


def test_int8_is_refused_before_anything_is_read(text_run, tmp_path):
    pytest.importorskip("ai_edge_litert")
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "recipe.yaml"):
        shutil.copy(text_run().folder / name, folder)

    with pytest.raises(BadConfiguration, match="Take --quantize dynamic"):
        keras_transfer.export(folder, tmp_path / "out", format="litert", quantize="int8")


def test_what_differs_from_the_model_is_not_written(text_run, tmp_path):
    with pytest.raises(CheckFailed, match="of 40 examples, probabilities up to"):
        keras_transfer.export(text_run(), tmp_path / "out", max_difference=-1.0)

    assert not (tmp_path / "out").exists()


def test_an_export_without_its_vocabulary_says_so(text_export, tmp_path):
    shutil.copytree(text_export().folder, tmp_path / "1")
    (tmp_path / "1" / "assets" / "vocabulary.txt").unlink()

    with pytest.raises(BadData, match=r"vocabulary.txt: is missing"):
        keras_transfer.Export(tmp_path / "1").predict("a good film")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_written_is_foreign(text_export, name):
    assert foreign_operators(text_export(name).folder, "saved_model") == []
