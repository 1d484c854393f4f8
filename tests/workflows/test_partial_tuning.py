"""Runs that train few weights of the backbone: LoRA, biases, normalisation."""

import logging

import keras
import numpy as np
import pytest
from processes import paint
from stops import Stop
from tiny import RECIPE

from keras_transfer import BadConfiguration, Stage, export, load

LORA = {"name": "lora", "epochs": 2, "unfreeze": "block3", "lora": 2, "learning_rate": 0.01}
STAGES = [
    {"name": "head", "epochs": 1, "learning_rate": 0.1},
    {**LORA, "ema": 0.9},
    {"name": "norm", "epochs": 1, "unfreeze": "block3", "trainable": "norm"},
]
HEAD = 128 * 2 + 2
KERNELS = [(64, 128), (128, 128)]
"""Channels of the 3 x 3 convolutions in block3."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    paint(folder / "images")
    return folder


@pytest.fixture(autouse=True)
def beside_the_images(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("KT_CACHE_DIR", str(home / "cache"))


@pytest.fixture(scope="module")
def whole(home):
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        patched.setenv("KT_CACHE_DIR", str(home / "cache"))
        return RECIPE.changed(stages=STAGES).run(out="whole", name="tiny")


def weights(run, name="best.keras"):
    return keras.models.load_model(run.folder / name).get_weights()


def assert_equal(run, other):
    assert run.history == other.history
    assert run.metrics == other.metrics
    assert run.metadata["parameters"] == other.metadata["parameters"]
    for name in ("best.keras", "last.keras"):
        for one, two in zip(weights(run, name), weights(other, name), strict=True):
            np.testing.assert_array_equal(one, two)


def stopped(recipe, out, words):
    logger, stop = logging.getLogger("keras_transfer"), Stop(words)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out=out, name="tiny")
    finally:
        logger.removeHandler(stop)
        logger.setLevel(level)


def test_a_run_records_what_each_stage_trains(whole):
    """LoRA of rank 2: 2 (9 x in + out) for each convolution; 4 x 128 for normalisation."""
    counts = {name: row["trainable"] for name, row in whole.metadata["parameters"].items()}

    matrices = sum(2 * (9 * given + made) for given, made in KERNELS)
    assert counts == {"head": HEAD, "lora": HEAD + matrices, "norm": HEAD + 512}
    totals = {name: row["total"] for name, row in whole.metadata["parameters"].items()}
    assert totals["lora"] == totals["head"] + matrices


@pytest.mark.parametrize(
    "words",
    ["lora 2/2", *(pytest.param(w, marks=pytest.mark.slow) for w in ("lora 1/2", "norm 1/1"))],
)
def test_a_stopped_run_ends_as_if_never_stopped(whole, tmp_path, words):
    """In the stage with LoRA, before its first epoch was stored, and after it."""
    recipe = RECIPE.changed(stages=STAGES)
    stopped(recipe, tmp_path / "stopped", words)

    again = recipe.run(out=tmp_path / "stopped", name="tiny", resume=True)

    assert_equal(again, whole)


def test_its_files_hold_plain_kernels(whole):
    for name in ("best.keras", "last.keras"):
        model = keras.models.load_model(whole.folder / name)
        assert not [v.path for v in model.variables if "lora" in v.path]
        assert not [x for x in model._flatten_layers() if getattr(x, "lora_rank", None)]


def test_another_run_starts_from_its_weights_and_an_export_answers_alike(whole, tmp_path):
    exported = export(whole, tmp_path / "served")
    later = RECIPE.changed(stages=[STAGES[0]], weights=f"run:{whole.folder}")
    run = later.run(out=tmp_path / "run", name="later")

    saved, kept = weights(run), weights(whole)
    np.testing.assert_array_equal(saved[0], kept[0])
    assert [path for path in exported.folder.rglob("saved_model.pb")]
    assert load(whole.folder).metrics == whole.metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ({"soup": 2, "epochs": 3}, {}),
        ({"accumulate": 2, "clipnorm": 1}, {}),
        ({"layer_decay": 0.7, "optimizer": "adamw", "weight_decay": 0.01}, {}),
        ({"optimizer": "muon"}, {"precision": "mixed_bfloat16"}),
        ({"optimizer": "sgd"}, {"precision": "mixed_float16"}),
        ({"unfreeze": "all", "patience": 0, "schedule": "plateau"}, {"cutmix": 1}),
        ({"l2_sp_head": 0.01}, {"batch_norm": "train"}),
        ({"learning_rate": 0.01}, {"strategy": "mirrored"}),
        ({"views": "fresh"}, {"mixup": 0.4, "engine": "none"}),
    ],
    ids=str,
)
def test_lora_goes_with_other_settings_and_resumes(tmp_path, stage, settings):
    recipe = RECIPE.changed(stages=[{**LORA, **stage}], **settings)
    once = recipe.run(out=tmp_path / "once", name="tiny")
    stopped(recipe, tmp_path / "stopped", "lora 2/")

    again = recipe.run(out=tmp_path / "stopped", name="tiny", resume=True)

    assert_equal(again, once)
    assert again.metadata["parameters"]["lora"]["trainable"] > HEAD
    if settings.get("precision", "float32") == "float32":
        model = keras.models.load_model(once.folder / "best.keras")
        assert not [v.path for v in model.variables if "lora" in v.path]


@pytest.mark.slow
def test_a_student_may_learn_by_lora(whole, tmp_path):
    recipe = RECIPE.changed(
        stages=[STAGES[0], LORA], method=f"distill:run:{whole.folder}", baselines=("none",)
    )
    once = recipe.run(out=tmp_path / "once", name="tiny")
    stopped(recipe, tmp_path / "stopped", "lora 2/")

    assert_equal(recipe.run(out=tmp_path / "stopped", name="tiny", resume=True), once)


@pytest.mark.slow
def test_the_baseline_from_scratch_trains_all_weights(tmp_path):
    run = RECIPE.changed(stages=[LORA], baselines=("scratch",)).run(out=tmp_path / "run")

    counts = load(run.folder / "baseline").metadata["parameters"]["scratch"]
    assert counts["trainable"] > 0.99 * counts["total"]


@pytest.mark.slow
def test_a_sweep_finds_the_rate_of_lora(tmp_path):
    run = RECIPE.changed(stages=[{**LORA, "learning_rate": "auto"}]).run(out=tmp_path / "run")

    assert 0 < run.history[0]["learning_rate"] < 10


@pytest.mark.parametrize(
    ("stage", "unfreeze", "trains"),
    [
        (Stage("tune", lora=8), "all", "lora"),
        (Stage("tune", lora=8, unfreeze="block_12"), "block_12", "lora"),
        (Stage("tune", tuning={"lora": 8}), "all", "lora"),
        (Stage("tune", unfreeze="bias"), "all", "bias"),
        (Stage("tune", unfreeze="norm"), "all", "norm"),
        (Stage("tune", trainable="norm"), "all", "norm"),
        (Stage("tune", unfreeze="block_12", trainable="bias"), "block_12", "bias"),
        (Stage("tune", unfreeze="bias", trainable="bias"), "all", "bias"),
        (Stage("tune", unfreeze="block_12"), "block_12", "all"),
        (Stage("head"), None, "all"),
    ],
)
def test_where_and_what_are_two_settings(stage, unfreeze, trains):
    assert (stage.unfreeze, stage.tuning.weights) == (unfreeze, trains)
    assert Stage(**stage.model_dump()) == stage


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"lora": 0}, "lora"),
        ({"lora": -2}, "lora"),
        ({"lora": 1.5}, "lora"),
        ({"trainable": "scale"}, "trainable"),
        ({"unfreeze": "bias", "trainable": "norm"}, "unfreeze = bias excludes trainable = norm"),
        ({"unfreeze": "none", "lora": 2}, "unfreeze = none .* lora = 2"),
        ({"unfreeze": "bias", "tuning": 4}, "tuning = 4: should be a mapping"),
        ({"unfreeze": "bias", "tuning": {"lora": 4}}, "lora trains matrices of its own"),
    ],
)
def test_what_makes_no_sense_is_refused(stage, message):
    with pytest.raises(BadConfiguration, match=message):
        RECIPE.changed(stages=[{"name": "tune", **stage}])


def test_a_stage_that_would_train_nothing_is_refused_before_the_data_are_read():
    recipe = RECIPE.changed(backbone="vgg16", image_size=32, data="nowhere")

    with pytest.raises(
        BadConfiguration, match=r"stages\.0\.trainable = norm: no unfrozen layer .* Conv2D"
    ):
        recipe.changed(stages=[{"name": "tune", "unfreeze": "norm"}]).check_network()


def test_settings_of_stored_recipes_still_load():
    """Before, L2-SP stood beside the other settings of a stage."""
    stage = Stage(**{"name": "tune", "unfreeze": "all", "l2_sp": 0.1, "l2_sp_head": 0.2})

    assert (stage.tuning.l2_sp, stage.tuning.l2_sp_head) == (0.1, 0.2)
