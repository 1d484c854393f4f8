"""The stages of a run: what is cached, what trains, which scores come out; on a tiny network."""

import csv
import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
from images import loading
from scipy.special import softmax
from stops import Stop

from keras_transfer import BadConfiguration, Stage
from keras_transfer.config.groups import Batches
from keras_transfer.data.arrays import Arrays
from keras_transfer.data.samples import Samples
from keras_transfer.data.scan import drop_invalid, scan
from keras_transfer.features.extractor import EngineConfig
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network
from keras_transfer.objectives.classification import Classification
from keras_transfer.workflows.imbalance import strategy_for
from keras_transfer.workflows.stage_runner import Setup, StageRunner
from keras_transfer.workflows.stage_views import stored_views
from keras_transfer.workflows.targets import Targets

HEAD = Stage("head", epochs=2, learning_rate=0.01)
TUNE = Stage("tune", epochs=2, unfreeze="block3", learning_rate=1e-3)
N = 20  # of which 12 train, 4 val, 4 test


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Dark and bright noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % 2
    pixels = rng.integers(0, 100, (N, 16, 16, 3)) + 130 * labels[:, None, None, None]
    splits = np.array(["train"] * 12 + ["val"] * 4 + ["test"] * 4, object)
    found = Samples.of(
        Arrays(pixels.astype("uint8")),
        ["dark", "bright"],
        [f"{i:02}" for i in range(N)],
        labels,
        splits=splits,
    )
    folder = tmp_path_factory.mktemp("scan")
    return drop_invalid(found, scan(found, None, folder), "fail")


@pytest.fixture
def make(samples, tmp_path):
    """A function that makes a runner of some stages."""

    def build(*stages, how=None, objective=None, engine="keras", **batches):
        keras.utils.set_random_seed(1)
        backbone = build_backbone("convnet_small", image_size=16)
        network = build_network(backbone, {"label": build_head(2)}, preprocessing="tf")
        objectives = {"label": objective or Classification(imbalance="none")}
        train = samples.split("train")
        strategy = strategy_for(objectives, train, 0)
        setup = Setup(
            network,
            samples,
            how or loading(16, batch_size=4),
            Targets(objectives, train, Batches(**batches), strategy),
            engine and EngineConfig(engine, 0.0, tmp_path / "cache"),
            backbone="convnet_small",
            batch_norm="frozen",
            monitor="val_loss",
            seed=0,
            view_seed=3,
        )
        (tmp_path / "run").mkdir(exist_ok=True)
        return StageRunner(setup, stages, tmp_path / "run")

    return build


def values(layers):
    return [weight.numpy().tobytes() for layer in layers for weight in layer.weights]


def softmax_of(model, samples, how):
    pixels = np.stack([how.example(samples, row)["pixels"] for row in samples.rows])
    logits = model({"pixels": pixels.astype("float32")}, training=False)["label"]
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))


def test_two_stages_train_what_they_unfreeze_and_score_as_the_full_network(make, samples):
    runner = make(HEAD, TUNE)
    layers = runner.network.backbone.layers
    cut = next(i for i, layer in enumerate(layers) if layer.name == "block3_conv1")
    before, after = values(layers[:cut]), values(layers[cut:])

    runner.run()
    found = runner.outputs()

    assert values(layers[:cut]) == before
    assert values(layers[cut:]) != after
    with (runner.folder / "history.csv").open() as file:
        rows = [(row["stage"], row["epoch"]) for row in csv.DictReader(file)]
    assert rows == [("head", "1"), ("head", "2"), ("tune", "1"), ("tune", "2")]
    assert (runner.folder / "augmented.png").exists()
    for name in ("val", "test"):
        wanted = softmax_of(runner.network.model, samples.split(name), runner.setup.loading)
        assert softmax(found[name]["label"], axis=1) == pytest.approx(wanted, abs=2e-3)
    # The head stage's features are made from those that the next stage needs: each image once.
    reports = runner.reports()
    assert {name: report["boundary"] for name, report in reports.items()} == {
        "head": "pool", "tune": runner.extractors.of(1).cut.boundary
    }  # fmt: skip
    assert reports["tune"]["computed"] == 16 + 4


def test_without_an_engine_all_layers_run_in_every_epoch(make, samples, caplog):
    runner = make(HEAD, engine=None)
    with caplog.at_level(logging.INFO, "keras_transfer"):
        runner.run()

    assert "The full network runs in every epoch" in caplog.text
    assert runner.reports() == {}
    assert runner.batches.model is None
    wanted = softmax_of(runner.network.model, samples.split("test"), runner.setup.loading)
    found = softmax(runner.outputs()["test"]["label"], axis=1)
    assert found == pytest.approx(wanted, abs=1e-5)


def test_with_and_without_stored_features_the_same_is_learnt(make, tmp_path):
    """A frozen stage without augmentation and dropout: the same numbers up to rounding."""
    losses = []
    for engine in ("keras", None):
        runner = make(HEAD, engine=engine)
        runner.run()
        losses.append([row["val_loss"] for row in runner.trainer.done["rows"]])
        for path in runner.folder.glob("*.*"):
            path.unlink()

    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    assert losses[0][1] < losses[0][0]


AUGMENTED = loading(16, batch_size=4, horizontal_flip=True)


@pytest.mark.parametrize(
    ("how", "stage", "views"),
    [
        (None, HEAD, 1),  # nothing is augmented
        (None, Stage("head", views=3), 1),
        (AUGMENTED, HEAD, 1),  # a frozen stage: no views of its own accord
        (AUGMENTED, Stage("head", views="clean"), 1),
        (AUGMENTED, Stage("head", views="fresh"), 0),
        (AUGMENTED, Stage("head", views=3), 3),
        (AUGMENTED, Stage("tune", epochs=1, unfreeze="block3"), 2),  # half of the images each
        (AUGMENTED, Stage("tune", epochs=4, unfreeze="block3"), 2),  # as mobilenet_v2_catsdogs
        (AUGMENTED, Stage("tune", epochs=14, unfreeze="block3"), 2),  # one for 5 epochs each
        (AUGMENTED, Stage("tune", epochs=4, unfreeze="block3", views="clean"), 1),
        (AUGMENTED, Stage("tune", epochs=15, unfreeze="block3"), 3),
        (AUGMENTED, Stage("tune", epochs=100, unfreeze="block3"), 4),  # at most
    ],
)
def test_how_many_views_of_an_image_are_kept(make, how, stage, views):
    found = views_of(make(stage, how=how), stage)

    assert len(found) == views
    assert [view.number for view in found] == list(range(views))
    assert [view.augment is None for view in found] == [number == 0 for number in range(views)]
    assert {view.seed for view in found[1:]} <= {3}


def views_of(runner, stage):
    setup = runner.setup
    return stored_views(stage, setup.targets, setup.loading.input, setup.view_seed)


def test_a_resumed_stage_sees_the_views_of_an_unstopped_one(make, tmp_path, caplog):
    """A clean and an augmented one of each image, in turn over three epochs."""
    stages = HEAD, Stage("tune", epochs=3, unfreeze="block3", learning_rate=1e-3)
    caplog.set_level(logging.INFO, "keras_transfer")
    whole = make(*stages, how=AUGMENTED)
    whole.run()
    (tmp_path / "run").rename(tmp_path / "whole")
    stop = Stop("tune 2/3")
    logging.getLogger("keras_transfer").addHandler(stop)
    with pytest.raises(KeyboardInterrupt):
        make(*stages, how=AUGMENTED).run()
    logging.getLogger("keras_transfer").removeHandler(stop)

    resumed = make(*stages, how=AUGMENTED)
    assert resumed.trainer.done["epoch"] == 1
    resumed.run()

    assert values(resumed.network.model.layers) == values(whole.network.model.layers)
    assert "Stage 'head' trains on features of images without augmentation" in caplog.text
    assert "Stage 'tune' trains on features of 2 views of each image, 1 of them" in caplog.text


def test_cutmix_keeps_no_views(make):
    assert views_of(make(HEAD, how=AUGMENTED, cutmix=1.0), HEAD) == []


def test_stages_draw_by_seeds_of_their_own(make):
    runner = make(HEAD, TUNE)

    first, second = runner._seeds(0), runner._seeds(1)
    assert len({*first, *second}) == 4


def test_a_stage_without_any_update_is_refused_before_it_begins(make):
    """12 images in batches of 4: three batches in each of two epochs."""
    make(Stage("head", epochs=2, accumulate=6))
    with pytest.raises(BadConfiguration, match=r"stages.1.accumulate = 7: the stage 'late' has 6"):
        make(HEAD, Stage("late", epochs=2, accumulate=7))


def test_a_backbone_that_has_lora_of_its_own_begins_with_merged_kernels(make):
    runner = make(HEAD)
    runner.network.freeze("all", trainable="lora")
    runner.network.enable_lora(2, None, 0)

    StageRunner(runner.setup, (HEAD,), runner.folder)

    assert not [v.path for v in runner.network.model.variables if "lora" in v.path]


def test_pretrained_features_are_those_of_the_backbone(make, samples):
    """Whatever the first stage unfreezes."""
    runner = make(TUNE)
    test = samples.split("test")

    features = runner.pretrained().features(test)

    pixels = np.stack([runner.setup.loading.example(test, row)["pixels"] for row in test.rows])
    scaled = pixels.astype("float32") / 127.5 - 1
    wanted = runner.network.backbone(scaled, training=False).numpy().mean(axis=(1, 2))
    assert features == pytest.approx(wanted, abs=1e-4)


def test_a_rate_is_found_once_and_the_network_stays(make):
    stage = Stage("head", epochs=2, learning_rate="auto")
    runner = make(stage)
    before = values(runner.network.model.layers)

    found = runner.find_rate()

    assert values(runner.network.model.layers) == before
    assert 1e-6 < found["learning_rate"] <= 10
    assert (runner.folder / "lr_find.csv").exists()
    again = make(stage)
    again.run()
    assert again.stages[0].learning_rate == found["learning_rate"]


class TestExtractors:
    def test_each_is_made_once(self, make):
        extractors = make(HEAD, TUNE).extractors

        assert extractors.of(0) is extractors.of(0)
        assert extractors.of(0) is not extractors.of(1)

    def test_a_stage_that_trains_everything_has_none(self, make):
        extractors = make(HEAD, Stage("all", epochs=1, unfreeze="all")).extractors

        assert extractors.of(1) is None
        assert extractors.of(0).step is None

    def test_only_extractors_that_did_something_are_reported(self, make, samples):
        extractors = make(HEAD, TUNE).extractors
        extractors.of(1).table(samples.split("val"))

        assert list(extractors.reports(["head", "tune"])) == ["tune"]
        assert extractors.reports(["head", "tune"])["tune"]["computed"] == 4


def test_a_setup_knows_its_train_split_and_its_steps(make, samples):
    """12 images in batches of 5: the last one is short."""
    setup = replace(make(HEAD).setup, loading=loading(16, batch_size=5))

    assert setup.train.keys.tolist() == samples.keys[:12].tolist()
    assert setup.steps == 3
