"""Runs of classical learners: from images to exports, resumed, refused."""

import logging

import keras
import numpy as np
import pytest
from html_pages import Page
from processes import paint, warm_python
from scipy.special import softmax
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import keras_transfer
from keras_transfer import BadConfiguration, BadWeights, FeatureExtraction, Split, Stage
from keras_transfer.data.batches import evaluation_batches
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.fitting import fit_learner
from keras_transfer.networks.fused import check_maps
from keras_transfer.reports.writing import write_report
from keras_transfer.workflows.domain_source import from_run

RECIPE = FeatureExtraction(
    data="images",
    backbone="convnet_small",
    weights="none",
    image_size=16,
    batch_size=4,
    split=Split(val=0.25, test=0.25),
    engine="keras",
    engine_error=0,
)
FEW = {
    "random_forest": {"n_estimators": 5, "min_samples_leaf": 1},
    "gradient_boosting": {"max_iter": 3, "learning_rate": 0.3},
}


PAIR = {
    "image_size": 32,
    "backbone": "mobilenet_v2",
    "variant": {"alpha": 0.35},
    "fuse": "vgg16=none",
}
"""Two networks with random weights, one of them in a variant."""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paint(folder, blue=16, red=16, green=12)
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory):
    """The frozen network is the same in all runs, so its features are computed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def runs(images, tmp_path_factory):
    """A run of each learner that is asked for."""
    home, made = tmp_path_factory.mktemp("runs"), {}

    def run(name):
        if name not in made:
            learner = {"name": name, "parameters": FEW.get(name, {})}
            recipe = RECIPE.changed(data=images, learner=learner)
            made[name] = recipe.run(out=home / name, name="features")
        return made[name]

    return run


def test_the_report_of_a_learner_has_no_epochs(runs):
    page = Page(write_report(runs("svm").folder).read_text("utf-8")).check()
    assert "there are no epochs" in page.said
    assert "The circle is the chosen epoch" not in page.said
    assert "still improving" not in page.said
    assert "baseline logistic_regression" in page.said


def pooled(run, samples):
    full = keras.Model(run.model.input, run.model.get_layer("pool").output)
    batches = evaluation_batches(samples, run.loading)
    return np.concatenate([full(pixels).numpy() for pixels, _, _ in batches])


def test_the_model_answers_as_scikit_learn_on_the_features(runs):
    run = runs("knn")
    train, test = (run.samples([name]) for name in ("train", "test"))
    scaler = StandardScaler().fit(pooled(run, train))
    k = run.model.get_layer("logits").k
    model = KNeighborsClassifier(k).fit(scaler.transform(pooled(run, train)), train.labels)
    wanted = model.predict_proba(scaler.transform(pooled(run, test)))
    batches = evaluation_batches(test, run.loading)
    logits = np.concatenate([run.model(pixels)["label"].numpy() for pixels, _, _ in batches])

    assert softmax(logits, axis=1) == pytest.approx(wanted, abs=1e-5)
    assert run.metrics["test"]["accuracy"] == (wanted.argmax(1) == test.labels).mean()


def test_a_run_is_like_any_other(runs, tmp_path):
    run = runs("svm")
    (row,) = run.history
    baseline = run.metrics["baselines"]["logistic_regression"]

    assert (row["stage"], row["epoch"], row["learning_rate"]) == ("learner", 1, 0)
    assert row["val_accuracy"] == run.metrics["val"]["accuracy"]
    assert row["val_loss"] == pytest.approx(run.metrics["val"]["log_loss"], abs=1e-4)
    assert 0 <= baseline["accuracy"] <= 1
    again = run.evaluate(run.settings["data"]["source"])
    assert again["accuracy"] > 0.5
    assert "scratch" not in run.metrics["baselines"]


def test_logistic_regression_is_no_baseline_of_itself(runs):
    assert set(runs("logistic_regression").metrics["baselines"]) == {"majority"}


@pytest.mark.parametrize("format", ["saved_model", "litert", "onnx", "keras"])
@pytest.mark.parametrize(
    "name",
    [
        "svm",
        "knn",
        "random_forest",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("linear_svm", "lda", "nearest_mean", "decision_tree", "gradient_boosting")
        ),
    ],
)
def test_it_is_exported_in_every_format(name, format, runs, images, tmp_path):
    """An export is written only if it answers as the model does."""
    run = runs(name)
    export = keras_transfer.export(run, tmp_path / "export", format=format)
    (one,) = keras_transfer.Export(export.folder).predict([f"{images}/red/0.png"])
    (own,) = run.predict([f"{images}/red/0.png"])

    assert one.top(1)[0][0] == own.top(1)[0][0]
    assert one.scores["label"] == pytest.approx(own.scores["label"], abs=1e-3)


def test_heat_maps_are_for_learners_with_a_gradient(runs, tmp_path):
    import tensorflow as tf

    for name, explains in (("svm", True), ("knn", False)):
        export = keras_transfer.export(runs(name), tmp_path / name)
        signatures = tf.saved_model.load(str(export.folder)).signatures
        assert ("explain" in signatures) == explains


def test_an_interrupted_run_ends_as_one_that_was_not(runs, images, tmp_path, monkeypatch):
    from keras_transfer.workflows import learning

    recipe = RECIPE.changed(data=images, learner="svm")
    real = learning.save_model

    def stop(path, model):
        raise KeyboardInterrupt

    monkeypatch.setattr(learning, "save_model", stop)
    with pytest.raises(KeyboardInterrupt):
        recipe.run(out=tmp_path / "run", name="features")
    monkeypatch.setattr(learning, "save_model", real)
    resumed = recipe.run(out=tmp_path / "run", name="features", resume=True)

    wanted = (runs("svm").folder / "predictions.csv").read_bytes()
    assert (resumed.folder / "predictions.csv").read_bytes() == wanted


def test_classes_that_differ_in_size_are_weighted_where_the_learner_can(images, tmp_path, caplog):
    caplog.set_level(logging.INFO, "keras_transfer")
    recipe = RECIPE.changed(data=images, classes=("blue", "green"), imbalance="class_weight")
    weighted = recipe.changed(learner="logistic_regression")
    run = weighted.run(out=tmp_path / "weighted", name="features")
    assert run.metrics["test"]["accuracy"] > 0.5

    with pytest.raises(BadConfiguration, match="knn takes no weights of classes"):
        recipe.changed(learner="knn")
    plain = RECIPE.changed(data=images, learner="knn")
    plain.run(out=tmp_path / "plain", name="features")
    assert "knn takes no weights: classes count as often as they occur" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": [Stage("head", epochs=2)]}, "fitted to frozen features"),
        ({"epochs": 3}, "every stage has a solver"),
        ({"method": "bagging:2"}, "knows the labels only"),
        ({"baselines": "scratch"}, "Compare with a run of Classify"),
        ({"objective": "regression"}, "one classification"),
        ({"units": (8,)}, "hidden layers"),
        ({"engine": "none"}, "frozen"),
        ({"learner": "svn"}, "svm"),
    ],
)
def test_what_it_does_not_have(changes, message):
    with pytest.raises(BadConfiguration, match=message):
        RECIPE.changed(**changes)


def test_wrong_parameters_are_refused_before_the_data_are_read(tmp_path):
    recipe = RECIPE.changed(learner={"name": "svm", "parameters": {"gama": 1}})
    (tmp_path / "images").mkdir()
    with pytest.raises(BadConfiguration, match="gamma"):
        recipe.run(str(tmp_path / "images"), out=tmp_path / "run", name="features")


def test_texts_have_learners_too(tmp_path):
    rows = [f"{word} {n}\t{label}" for n in range(12) for word, label in (("good", 1), ("bad", 0))]
    (tmp_path / "texts.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    recipe = FeatureExtraction(
        data=str(tmp_path / "texts.tsv"),
        backbone="transformer_tiny",
        length=8,
        split=Split(val=0.25, test=0.25),
        learner="lda",
    )
    run = recipe.run(out=tmp_path / "run", name="texts")
    (answer,) = run.predict(["good 3"])
    assert answer.top(1)[0][0] in ("0", "1")


@pytest.fixture(scope="module")
def fused(images, tmp_path_factory):
    recipe = RECIPE.changed(data=images, **PAIR, learner="linear_svm")
    return recipe.run(out=tmp_path_factory.mktemp("fused") / "run", name="fused")


def test_the_features_stand_side_by_side(fused):
    model = fused.model
    pool = keras.Model(model.input, model.get_layer("pool").output)
    batches = evaluation_batches(fused.samples(["test"]).take(np.array([0])), fused.loading)
    (pixels, _, _) = next(iter(batches))
    features = pool(pixels).numpy()
    alone = [
        keras.ops.mean(model.get_layer(f"part{number}")(pixels["pixels"]), (1, 2)).numpy()
        for number in (1, 2)
    ]
    assert features == pytest.approx(np.concatenate(alone, axis=1), abs=1e-5)
    assert [part.shape[1] for part in alone] == [1280, 512]


@pytest.mark.slow
def test_each_network_alone_is_beside_both(fused):
    baselines = fused.metrics["baselines"]
    assert set(baselines) == {
        "majority",
        "logistic_regression",
        "mobilenet_v2 alpha=0.35",
        "vgg16",
    }


@pytest.mark.parametrize(
    "format",
    ["saved_model", *(pytest.param(f, marks=pytest.mark.slow) for f in ("litert", "onnx"))],
)
def test_a_fused_run_is_exported(fused, format, tmp_path):
    export = keras_transfer.export(fused, tmp_path / format, format=format)
    assert export.folder.exists()


def test_probabilities_are_averaged(images, tmp_path):
    recipe = RECIPE.changed(data=images, **PAIR, fusion="probabilities", learner="lda")
    run = recipe.run(out=tmp_path / "run", name="mixed")
    test = run.samples(["test"])
    batches = evaluation_batches(test, run.loading)
    features = np.concatenate(
        [
            keras.Model(run.model.input, run.model.get_layer("pool").output)(x).numpy()
            for x, _, _ in batches
        ]
    )
    first, second = (
        softmax(run.model.get_layer(f"learner{n}")(columns).numpy(), axis=1)
        for n, columns in ((1, features[:, :1280]), (2, features[:, 1280:]))
    )
    found = softmax(np.concatenate([run.model(x)["label"].numpy() for x, _, _ in batches]), axis=1)
    weights = np.linalg.lstsq(
        np.stack([first.ravel(), second.ravel()], axis=1), found.ravel(), rcond=None
    )[0]
    assert weights.sum() == pytest.approx(1, abs=1e-3)
    assert found == pytest.approx(weights[0] * first + weights[1] * second, abs=1e-4)
    export = keras_transfer.export(run, tmp_path / "export")
    assert export.folder.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fuse": "vgg17"}, "vgg19"),
        ({"fusion": "probabilities"}, "name the others by fuse"),
        ({"fuse": "convnet_small=none"}, "named twice"),
        ({"fuse": "vgg16=recipe:digits"}, "run:DIR"),
        ({"fuse": "vgg16", "pooling": "flatten"}, "avg or max"),
    ],
)
def test_what_cannot_be_fused(changes, message):
    with pytest.raises(keras_transfer.TransferError, match=message):
        RECIPE.changed(**changes)


def test_a_mean_of_learners_without_a_gradient_has_no_heat_maps(images, tmp_path):
    import tensorflow as tf

    recipe = RECIPE.changed(data=images, **PAIR, fusion="probabilities", learner="knn")
    run = recipe.run(out=tmp_path / "run", name="mixed")
    export = keras_transfer.export(run, tmp_path / "export")
    assert "explain" not in tf.saved_model.load(str(export.folder)).signatures


def test_weights_that_are_missing_are_those_of_the_further_network(tmp_path):
    (tmp_path / "images").mkdir()
    recipe = RECIPE.changed(**PAIR | {"fuse": f"vgg16={tmp_path}/none.h5"})
    with pytest.raises(BadWeights, match=r"fuse = vgg16 \(weights of a file: vgg16=FILE\)"):
        recipe.run(str(tmp_path / "images"), out=tmp_path / "run", name="fused")


def test_features_are_those_of_one_network(images):
    with pytest.raises(BadConfiguration, match="fuse = vgg16=none"):
        RECIPE.changed(data=images, **PAIR).features()


def test_several_backbones_are_the_first_and_fuse():
    both = RECIPE.changed(backbone=("mobilenet_v2", "vgg16"), fusion="probabilities")
    assert (both.backbone.name, both.fuse) == ("mobilenet_v2", ("vgg16",))
    other = both.changed(backbone=["vgg16", "resnet50"])
    assert (other.backbone.name, other.fuse) == ("vgg16", ("resnet50",))
    with pytest.raises(BadConfiguration, match="two words for one setting"):
        RECIPE.changed(backbone=("mobilenet_v2", "vgg16"), fuse="resnet50")


def test_tokens_are_not_joined():
    maps, tokens = keras.Input((4, 4, 8)), keras.Input((17, 8))
    networks = {
        "convnet": keras.Model(maps, keras.layers.ReLU()(maps)),
        "vit": keras.Model(tokens, keras.layers.ReLU()(tokens)),
    }
    with pytest.raises(BadConfiguration, match="vit gives tokens"):
        check_maps(networks)


def test_maps_of_other_sizes_are_refused_before_the_data_are_read(tmp_path):
    (tmp_path / "images").mkdir()
    recipe = RECIPE.changed(fuse="mobilenet_v2=none", image_size=32)
    with pytest.raises(BadConfiguration, match="same height and width"):
        recipe.run(str(tmp_path / "images"), out=tmp_path / "run", name="fused")


def test_blocks_count_equally_however_many_channels_they_have():
    """Of standardised features, each block of n channels has the squared length n."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 30)).astype("float32")
    examples = Examples(features[None], np.arange(200) % 2, np.ones(200), np.arange(200))
    head = fit_learner("knn", {}, examples, 2, 0, blocks=[20, 10]).head
    squares = (head.references**2).sum(axis=0)

    assert squares[:20].sum() == pytest.approx(squares[20:].sum(), rel=1e-4)
    assert squares.sum() == pytest.approx(200 * 30, rel=0.2)


def test_domains_are_compared_behind_the_pooling_whatever_the_learner(runs, fused):
    """Its features are those that the learner was fitted to, of several networks too."""
    for run, channels in ((runs("knn"), 128), (fused, 1280 + 512)):
        source = from_run(run, None, 10, 0)
        few = source.samples.split("test")
        given = pooled(run, few)

        assert given.shape == (len(few), channels)
        # Random networks have features so small that a learner sees more in them than is there.
        assert source.features(few) == pytest.approx(given, abs=1e-3)
        assert source.head(given) == pytest.approx(run.probabilities(few), abs=1e-6)


def test_a_new_process_reads_the_layers_of_a_learner(runs):
    code = "import sys, keras_transfer; print(keras_transfer.load(sys.argv[1]).model.name)"
    done = warm_python(code, runs("knn").folder, cwd=runs("knn").folder.parent, check=0)

    assert done.stdout.strip() == runs("knn").model.name
