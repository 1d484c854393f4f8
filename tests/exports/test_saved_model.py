"""What TensorFlow Serving gets: that it answers as the model does, alone."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

import keras_transfer
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed


@pytest.fixture(scope="module")
def ask(saved):
    loaded = tf.saved_model.load(str(saved.folder))
    ask = loaded.signatures
    ask.loaded = loaded  # lives as long as its signatures are asked
    return ask


def contents(paths):
    return tf.constant([path.read_bytes() for path in paths])


def test_it_lies_where_a_server_looks_for_it(run, saved):
    assert saved.folder.parts[-2:] == ("colours", "1")
    assert {one.name for one in saved.folder.iterdir()} == {
        "saved_model.pb", "variables", "assets", "assets.extra", "fingerprint.pb", "export.json",
        "README.md",
    }  # fmt: skip
    assert saved.classes == run.classes == ("blue", "red")
    assert saved.metadata["parity"]["examples"] == 48  # all that the run has are fewer than 64
    assert saved.metadata["parity"]["changed"] == 0


def test_inputs_and_outputs_have_names(ask):
    named = {
        name: (set(one.structured_input_signature[1]), set(one.structured_outputs))
        for name, one in ask.items()
    }
    ranked = {"classes", "probabilities", "scores"}
    assert named == {
        "serving_default": ({"image_bytes"}, ranked),
        "predict_pixels": ({"pixels"}, ranked),
        "embed": ({"image_bytes"}, {"features"}),
        "classify": ({"inputs"}, {"classes", "scores"}),
        "explain": ({"image_bytes"}, {"heat", "classes"}),
        "decode": ({"image_bytes"}, {"pixels"}),
        "forward": ({"pixels"}, {"scores"}),
    }


def test_raw_bytes_of_every_format_are_answered_as_the_run_does(run, odd, ask):
    answers = ask["serving_default"](image_bytes=contents(odd))

    for place, wanted in enumerate(run.predict(odd)):
        assert wanted.error == ""
        np.testing.assert_allclose(answers["scores"][place], wanted.probabilities, atol=1e-6)
        best = [(name.decode(), p) for name, p in zip(
            answers["classes"][place].numpy(), answers["probabilities"][place].numpy(), strict=True
        )]  # fmt: skip
        assert [name for name, _ in best] == [name for name, _ in wanted.top(2)]
        assert best[0][1] >= best[1][1]


def test_a_turned_photograph_is_turned_back(run, odd, ask):
    """Rows and columns are those of the image as people see it."""
    turned = next(path for path in odd if path.name == "turned.jpg")
    upright = np.asarray(Image.open(turned).transpose(Image.Transpose.ROTATE_270))

    pixels = ask["decode"](image_bytes=contents([turned]))["pixels"][0]

    # crop: 60 x 40 becomes its middle 40 x 40, then 16 x 16; means of a half tell the side
    middle = upright[10:50].astype(float)
    for half in (slice(0, 8), slice(8, 16)):
        wanted = middle[half.start * 40 // 16 : half.stop * 40 // 16].mean()
        assert np.mean(pixels.numpy()[half]) == pytest.approx(wanted, abs=1.5)


def test_pixels_of_any_size_are_answered_as_their_file_is(odd, ask):
    grey = next(path for path in odd if path.name == "grey.png")
    pixels = np.asarray(Image.open(grey).convert("RGB"))[np.newaxis]

    by_pixels = ask["predict_pixels"](pixels=tf.constant(pixels))["scores"]
    by_bytes = ask["serving_default"](image_bytes=contents([grey]))["scores"]

    np.testing.assert_array_equal(by_pixels, by_bytes)


def test_forward_takes_what_decode_gives(odd, ask):
    pixels = ask["decode"](image_bytes=contents(odd))["pixels"]
    scores = ask["forward"](pixels=tf.cast(pixels, tf.float32))["scores"]

    assert pixels.dtype == tf.uint8
    whole = ask["serving_default"](image_bytes=contents(odd))["scores"]
    np.testing.assert_allclose(scores, whole, atol=1e-6)


def test_classify_takes_examples(saved, odd, ask):
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image_bytes": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[path.read_bytes()])
                    )
                }
            )
        ).SerializeToString()
        for path in odd
    ]
    found = ask["classify"](inputs=tf.constant(examples))
    wanted = ask["serving_default"](image_bytes=contents(odd))

    np.testing.assert_array_equal(found["classes"], wanted["classes"])
    np.testing.assert_array_equal(found["scores"], wanted["probabilities"])
    graph = saved_model_pb2.SavedModel.FromString((saved.folder / "saved_model.pb").read_bytes())
    methods = {n: s.method_name for n, s in graph.meta_graphs[0].signature_def.items()}
    assert methods["classify"] == "tensorflow/serving/classify"
    assert methods["serving_default"] == "tensorflow/serving/predict"


def last_map(run, pixels):
    """(batch, h, w, c): by the layers themselves; this backbone wants -1..1."""
    backbone = run.model.get_layer("backbone")
    return keras.ops.convert_to_numpy(backbone(pixels / 127.5 - 1, training=False))


def test_features_are_the_mean_of_the_last_map(run, odd, ask):
    pixels = ask["decode"](image_bytes=contents(odd))["pixels"].numpy().astype("float32")

    features = ask["embed"](image_bytes=contents(odd))["features"]

    np.testing.assert_allclose(features, last_map(run, pixels).mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_the_heat_map_is_grad_cam(run, odd, ask):
    """Behind mean pooling and one dense layer the gradient is the best class's kernel: CAM."""
    pixels = ask["decode"](image_bytes=contents(odd))["pixels"].numpy().astype("float32")
    maps = last_map(run, pixels)
    kernel, bias = run.model.get_layer("logits").get_weights()
    best = (maps.mean((1, 2)) @ kernel + bias).argmax(axis=1)
    wanted = np.maximum(np.einsum("bhwc,bc->bhw", maps, kernel.T[best]), 0)
    wanted /= np.maximum(wanted.max((1, 2), keepdims=True), 1e-12)

    found = ask["explain"](image_bytes=contents(odd))

    np.testing.assert_allclose(found["heat"], wanted, atol=1e-3)
    assert [name.decode() for name in found["classes"].numpy()] == [run.classes[i] for i in best]


def test_broken_bytes_are_refused(ask):
    with pytest.raises(tf.errors.InvalidArgumentError):
        ask["serving_default"](image_bytes=tf.constant([b"no image"]))


def test_names_preprocessing_and_recipe_travel_inside(run, saved):
    assets = saved.folder / "assets"

    assert json.loads((assets / "classes.json").read_text()) == ["blue", "red"]
    metadata = json.loads((assets / "preprocessing.json").read_text())
    assert (metadata["image_size"], metadata["resize"]) == (16, "crop")
    recipe = yaml.safe_load((assets / "recipe.yaml").read_text())
    assert recipe == {"version": 2, **run.settings}


def test_every_weight_is_there_once(run, saved):
    data = saved.folder / "variables" / "variables.data-00000-of-00001"
    weights = sum(weight.nbytes for weight in run.model.get_weights())

    assert weights <= data.stat().st_size < 1.05 * weights + 20_000


def test_the_requests_for_warming_up_are_requests(saved, ask):
    logs = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api"
    )
    file = saved.folder / "assets.extra" / "tf_serving_warmup_requests"
    counts = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "colours"
        assert request.model_spec.signature_name == "serving_default"
        assert list(request.inputs) == ["image_bytes"]
        images = tf.make_ndarray(request.inputs["image_bytes"])
        scores = ask["serving_default"](image_bytes=tf.constant(images))["scores"]
        counts.append(len(scores))
    assert counts == [1, 8]


ALONE = """
import sys
class Refusing:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "keras_transfer":
            raise ImportError(name)
sys.meta_path.insert(0, Refusing())
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
image = tf.constant([open(sys.argv[2], "rb").read()])
answer = loaded.signatures["serving_default"](image_bytes=image)
print(answer["classes"][0, 0].numpy().decode(), float(answer["probabilities"][0, 0]))
"""


def test_it_answers_where_there_is_tensorflow_alone(run, saved, odd):
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(saved.folder), str(odd[0])],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    name, share = done.stdout.split()
    (wanted,) = run.predict(odd[0])
    assert (name, float(share)) == (wanted.label, pytest.approx(wanted.top(1)[0][1], abs=1e-6))


def test_an_export_evaluates_and_predicts_as_a_run_does(run, saved, odd):
    images = run.folder.parent / "images"

    ours, theirs = saved.predict([*odd, "gone.jpg"]), run.predict([*odd, "gone.jpg"])

    assert [one.label for one in ours] == [one.label for one in theirs]
    assert ours[-1].error == theirs[-1].error != ""
    metrics = keras_transfer.Export(saved.folder.parent).evaluate(str(images))
    assert metrics["n"] == 48
    assert metrics["accuracy"] == run.evaluate(str(images))["accuracy"]


def test_metrics_are_given_where_nothing_can_be_written(run, saved, tmp_path, caplog):
    shutil.copytree(saved.folder, tmp_path / "1", ignore=shutil.ignore_patterns("evaluations"))
    (tmp_path / "1" / "evaluations").write_text("in the way of the folder")

    metrics = keras_transfer.Export(tmp_path / "1").evaluate(str(run.folder.parent / "images"))

    assert metrics["n"] == 48
    assert "are not written" in caplog.text


def test_arrays_are_evaluated_too(run, saved):
    x = np.random.default_rng(3).integers(0, 256, (5, 20, 30, 3), "uint8")
    y = ["red", "blue", "red", "blue", "red"]

    ours, theirs = saved.evaluate((x, y)), run.evaluate((x, y))

    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-5)


def test_what_differs_from_the_model_is_not_written(run, tmp_path):
    with pytest.raises(CheckFailed, match="does not answer as the model does"):
        keras_transfer.export(run, tmp_path / "out", max_difference=-1.0)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../out", "1", "a b", ".x"])
def test_a_name_that_would_lead_astray(run, tmp_path, name):
    with pytest.raises(BadConfiguration, match="--name"):
        keras_transfer.export(run, tmp_path, name=name)


def test_images_that_have_changed_are_not_compared_with(run, tmp_path):
    image = run.folder.parent / "images" / "red" / "0.png"
    kept = image.read_bytes()
    Image.new("RGB", (20, 24)).save(image)
    try:
        with pytest.raises(BadData, match="have changed"):
            keras_transfer.export(run, tmp_path / "out")
    finally:
        image.write_bytes(kept)
    assert not (tmp_path / "out").exists()


def test_other_images_may_be_named(run, odd, tmp_path):
    done = keras_transfer.export(run, tmp_path, data=str(run.folder.parent / "images"))

    assert done.metadata["parity"]["examples"] == 48


def test_its_model_card_has_the_metrics_of_the_test_split(run, saved):
    """The files were compared on other examples too, since the test split is small."""
    card = (saved.folder / "README.md").read_text()
    metadata = json.loads((saved.folder / "export.json").read_text())

    assert metadata["test"]["n"] > run.metrics["test"]["n"]
    assert f"{run.metrics['test']['n']} test examples" in card
    assert f"| accuracy | {run.metrics['test']['accuracy']:.4f} |" in card
    assert "Of the model that was exported" in card
    assert "Format saved_model, quantization none." in card
    assert "kt-recipe serve .." in card
    assert "README.md" not in metadata["checksums"]  # it may be edited
