"""Runs that answer unknown: scores, thresholds, files, exports, resuming."""

import logging
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from processes import kt, paint
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from scipy.stats import entropy
from texts_runs import write_table
from tiny import RECIPE

import keras_transfer
from keras_transfer import BadConfiguration, BadData, Classify, FineTune, Run, Split, Stage, Text
from keras_transfer.evaluation import predictions
from keras_transfer.networks.rejection import (
    NEIGHBOURS,
    Reference,
    known_score,
    with_unknown,
)
from keras_transfer.objectives.rejection import KNOWN_SCORES, Reject

TRAINED = RECIPE.changed(
    batch_size=32,
    stages=[{"name": "head", "epochs": 4, "learning_rate": 3e-2}],
    split=Split(val=40, test=40),
    augment={},
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paint(folder / "known", blue=80, red=80)
    (folder / "odd").mkdir()
    rng = np.random.default_rng(1)
    for i in range(40):  # checks without colour
        pixels = np.kron(rng.integers(0, 2, (5, 6)), np.ones((4, 4)))[..., None] * np.full(3, 255)
        Image.fromarray(pixels.astype("uint8")).save(folder / "odd" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def runs(images, tmp_path_factory):
    """A function that gives the run with a score, trained once."""
    folder, done = tmp_path_factory.mktemp("runs"), {}

    def run(score):
        if score not in done:
            reject = Reject(score=score, coverage=0.9, unknown_data=str(images / "odd"))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("KT_CACHE_DIR", str(folder / "cache"))
                out = folder / score
                data = str(images / "known")
                done[score] = TRAINED.run(data=data, out=out, name="tiny", reject=reject)
        return done[score]

    return run


def small_reference(rng, channels=5, classes=3):
    bank = rng.normal(size=(20, channels))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    whitening = rng.normal(size=(channels, channels))
    mean, centres = rng.normal(size=channels), rng.normal(size=(classes, channels))
    return Reference(*(part.astype("float32") for part in (bank, mean, whitening, centres)))


def test_scores_are_those_of_scipy():
    rng = np.random.default_rng(0)
    logits, features = rng.normal(0, 3, (7, 3)), rng.normal(size=(7, 5))
    reference = small_reference(rng)
    tensors = [keras.Input((3,)), keras.Input((5,))]
    found = {
        score: keras.Model(tensors, known_score(score, *tensors, reference)).predict(
            [logits, features], verbose=0
        )[:, 0]
        for score in KNOWN_SCORES
    }
    p = softmax(logits, axis=1)
    assert found["max_probability"] == pytest.approx(p.max(axis=1), rel=1e-5)
    assert found["entropy"] == pytest.approx(-entropy(p, axis=1), rel=1e-4)
    assert found["energy"] == pytest.approx(logsumexp(logits, axis=1), rel=1e-5)
    cosines = np.sort(1 - cdist(features, reference.bank, "cosine"), axis=1)[:, -NEIGHBOURS]
    assert found["knn"] == pytest.approx(cosines, abs=1e-5)
    whitened = (features - reference.mean) @ reference.whitening
    nearest = cdist(whitened, reference.centres, "sqeuclidean").min(axis=1)
    assert found["mahalanobis"] == pytest.approx(-nearest, rel=1e-3)


def test_at_the_threshold_the_score_of_unknown_is_a_half():
    given = keras.Input((2,), name="x")
    model = keras.Model({"x": given}, {"label": keras.layers.Identity()(given)})
    rejecting = with_unknown(
        model, "label", "energy", name="label_unknown", threshold=2.0, width=0.5
    )
    # The energy of (a, a) is a + log 2.
    a = np.array([2.0, 2.5, 1.0]) - np.log(2)
    found = rejecting.predict({"x": np.stack([a, a], axis=1)}, verbose=0)
    assert found["label_unknown"][:, 0] == pytest.approx(
        [0.5, 1 / (1 + np.e), 1 / (1 + np.exp(-2))], abs=1e-6
    )


@pytest.mark.parametrize("score", ["energy", "knn", "mahalanobis"])
def test_a_run_answers_unknown(runs, images, score):
    run = runs(score)
    found = run.metrics["reject"]
    assert found["score"] == score
    assert found["val"]["coverage"] >= 0.9
    assert list(found["candidates"]) == [score]
    assert f"Unknown by {score}: {found['test']['coverage']:.1%} of test" in run.report()
    odd = run.predict(str(images / "odd"))
    share = np.mean([one.label == "unknown" for one in odd])
    assert abs(share - found["unknown"]["rejected"]) < 0.3
    for one in odd:
        name, value = one.top(1)[0]
        assert (name == "unknown") == one.unknown() == (one.label == "unknown")
        assert one.probabilities.shape == (2,)
        if name == "unknown":
            assert 0.5 < value <= 1
    # The test split, by the files of the run.
    evaluated = Run(run.folder).evaluate()["reject"]
    assert evaluated == {key: found["test"][key] for key in evaluated}
    assert evaluated["n"] == 40


def test_distances_tell_what_has_no_colour(runs):
    assert runs("mahalanobis").metrics["reject"]["unknown"]["auroc"] > 0.97
    best = runs("auto").metrics["reject"]
    known = {name: row["val_auroc"] for name, row in best["candidates"].items()}
    assert list(known) == list(KNOWN_SCORES)
    assert best["score"] == max(known, key=known.get)


def test_the_answers_of_the_classes_stay(runs):
    plain, other = (
        predictions.read_predictions(runs(score).folder / "predictions.csv").probabilities
        for score in ("energy", "knn")
    )
    np.testing.assert_array_equal(plain, other)


@pytest.mark.parametrize("score", ["energy", "knn", "mahalanobis"])
@pytest.mark.parametrize("form", ["saved_model", "keras", "litert", "onnx"])
def test_every_export_answers_unknown(runs, images, tmp_path, form, score):
    if form in ("litert", "onnx"):
        pytest.importorskip({"litert": "ai_edge_litert", "onnx": "onnxruntime"}[form])
    run = runs(score)
    export = keras_transfer.export(run, tmp_path, format=form)
    parity = export.metadata["parity"]
    assert parity["changed"] == 0
    assert parity["rejected"] == parity["model_rejected"]
    assert export.metadata["test"]["reject"]["coverage"] == pytest.approx(1 - parity["rejected"])
    wanted = [one.top(2) for one in run.predict(str(images / "odd"))]
    found = [one.top(2) for one in export.predict(str(images / "odd"))]
    assert [[n for n, _ in one] for one in found] == [[n for n, _ in one] for one in wanted]
    values = [[[v for _, v in one] for one in many] for many in (found, wanted)]
    assert np.array(values[0]) == pytest.approx(np.array(values[1]), abs=1e-3)


def test_a_server_has_the_answer_first(runs, images, tmp_path):
    import tensorflow as tf

    run = runs("mahalanobis")
    export = keras_transfer.export(run, tmp_path)
    files = sorted(map(str, images.glob("*/*.png")))
    files += sorted(map(str, images.glob("known/*/*.png")))[:20]
    served = tf.saved_model.load(str(export.folder)).signatures["serving_default"]
    found = served(tf.constant([Path(file).read_bytes() for file in files]))
    names = [row[0].decode() for row in found["classes"].numpy()]
    assert names == [one.label for one in run.predict(files)]
    assert {"unknown", "red"} <= set(names) or {"unknown", "blue"} <= set(names)
    assert found["classes"].shape == found["probabilities"].shape == (len(files), 3)
    assert found["scores"].shape == (len(files), 2)
    first = found["probabilities"].numpy()[:, 0]
    rejected = found["unknown"].numpy() > 0.5
    np.testing.assert_array_equal(np.array(names) == "unknown", rejected)
    np.testing.assert_array_equal(first[rejected], found["unknown"].numpy()[rejected])


def test_an_interrupted_run_is_resumed_with_the_same_head(runs, images, tmp_path, monkeypatch):
    """Its file has layers with weights that the network in training does not have."""
    done = runs("mahalanobis")
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    data, out = str(images / "known"), tmp_path / "stopped"
    reject = done.settings["objective"]["reject"]

    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "write_predictions", stop)
        with pytest.raises(KeyboardInterrupt):
            TRAINED.run(data=data, out=out, name="tiny", reject=reject)
    assert "unknown_whitening" in [
        one.name for one in keras.models.load_model(out / "best.keras").layers
    ]
    again = TRAINED.run(data=data, out=out, name="tiny", reject=reject, resume=True)
    assert again.metrics == done.metrics
    assert all(map(np.array_equal, again.model.get_weights(), done.model.get_weights()))


def test_settings():
    base = Classify(data="photos", backbone="convnet_small")
    assert base.objective.reject == Reject()
    assert not base.objective.reject.wanted
    for given in (0.99, "0.99", {"accuracy": 0.99}):
        assert base.changed(reject=given).objective.reject == Reject(accuracy=0.99)
    both = base.changed(reject="0.9", unknown_data="other").objective.reject
    assert both == Reject(accuracy=0.9, unknown_data="other")
    again = Classify(**base.changed(reject=0.9).settings())
    assert again.objective.reject.accuracy == 0.9
    with pytest.raises(BadConfiguration, match="accuracy or coverage"):
        base.changed(reject={"accuracy": 0.9, "coverage": 0.5})
    with pytest.raises(BadConfiguration, match="rejects nothing"):
        base.changed(reject={"score": "energy"})
    with pytest.raises(BadConfiguration, match="reject"):
        base.changed(reject=1.5)


def test_what_is_wrong_is_said_before_training(images, tmp_path, monkeypatch):
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    data = str(images / "known")
    with pytest.raises(BadData, match="nowhere"):
        TRAINED.run(data=data, out=tmp_path / "a", name="tiny", unknown_data="nowhere")
    named = tmp_path / "named"
    paint(tmp_path / "colours")
    (tmp_path / "colours/red").rename(tmp_path / "colours/unknown")
    with pytest.raises(BadConfiguration, match="is called 'unknown'"):
        RECIPE.run(data=str(tmp_path / "colours"), out=named, name="tiny", reject=0.9)


def test_an_accuracy_that_val_does_not_show_rejects_nothing(images, tmp_path, monkeypatch, caplog):
    """For 0.99 it takes 98 right answers."""
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    data = str(images / "known")
    with caplog.at_level(logging.INFO, "keras_transfer"):
        run = TRAINED.run(data=data, out=tmp_path / "run", name="tiny", reject=0.99)
    assert "nothing is rejected: no share of the 40 val examples" in caplog.text
    assert run.metrics["reject"]["threshold"] is None
    assert list(run.model.output) == ["label"]
    assert run.outputs["label"].decision == {}
    assert run.predict(str(images / "odd"))[0].label in ("blue", "red")


def test_the_command_line(images, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from keras_transfer import Classify, Split, Stage\n"
        "recipe = Classify(data='images', backbone='convnet_small', weights='none',\n"
        "    image_size=16, split=Split(val=40, test=40), stages=(Stage('head', epochs=1),))\n"
    )
    options = [
        "--reject",
        "0.6",
        "--unknown-data",
        str(images / "odd"),
        "--set",
        "reject.score=knn",
    ]
    done = kt(
        "run", "mine.py", "--data", str(images / "known"), "--out", "r", *options,
        cwd=tmp_path, check=0,
    )  # fmt: skip
    assert "Unknown by knn" in done.stderr
    said = kt("predict", "r", str(images / "odd"), cwd=tmp_path, check=0).stdout
    assert len(said.splitlines()) == 40
    helped = kt("run", "mine.py", "--help", cwd=tmp_path, check=0).stdout
    assert "--reject FLOAT" in helped
    assert "--unknown-data TEXT" in helped


@pytest.mark.slow
def test_unknown_texts_are_the_rows_of_a_table(tmp_path, monkeypatch):
    """Not the path of that table, taken for a text."""
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    odd = tmp_path / "odd.csv"
    odd.write_text("text\n" + "".join(f"price {number} tons of wheat\n" for number in range(30)))

    recipe = FineTune(
        data=str(write_table(tmp_path)),
        input=Text(length=12, vocabulary_size=80),
        backbone="transformer_tiny",
        weights="none",
        batch_size=8,
        stages=(Stage("all", epochs=1, unfreeze="all"),),
        reject=Reject(coverage=0.5, unknown_data=str(odd)),
        baselines=("none",),
    )

    run = recipe.run(out=tmp_path / "run", name="texts")

    assert run.metrics["reject"]["unknown"]["n"] == 15  # the other half chooses the score


def test_openvino_has_the_answer_of_tensorflow(runs, images, tmp_path):
    pytest.importorskip("openvino")
    from keras_transfer.serving.models import Model
    from keras_transfer.serving.openvino_model import OpenVinoModel

    export = keras_transfer.export(runs("mahalanobis"), tmp_path)
    files = [*sorted(images.glob("odd/*.png"))[:10], *sorted(images.glob("known/red/*.png"))[:5]]
    given = {"image_bytes": np.array([file.read_bytes() for file in files], object)}
    fast, plain = (kind("tiny", 1, export.folder) for kind in (OpenVinoModel, Model))
    assert fast._engine is not None
    found, wanted = (one.run("serving_default", given) for one in (fast, plain))
    assert {name: np.shape(x) for name, x in found.items()} == {
        name: np.shape(x) for name, x in wanted.items()
    }
    np.testing.assert_array_equal(found["classes"][:, 0], wanted["classes"][:, 0])
    np.testing.assert_allclose(found["unknown"], wanted["unknown"], atol=1e-4)
