"""Every two values of different settings together: they run, or they are refused with a reason."""

import itertools
import json
import math

import keras
import numpy as np
import pytest
from pairwise import covering
from processes import paint

from keras_transfer import Classify
from keras_transfer.config.rules import RECIPE_RULES, STAGE_RULES
from keras_transfer.errors import BadConfiguration
from keras_transfer.evaluation.predictions import read_predictions

SETTINGS = {
    "resize": ("stretch", "crop", "pad"),
    "batch_norm": ("frozen", "train"),
    "limit": (None, 24),
    "on_bad": ("fail", "skip"),
    "strict": (False, True),
    "split.train": (None, 9),
    "batch_size": (8, 5, 1, 64),
    "imbalance": ("none", "class_weight", "oversample", "balanced_batches", "focal", "smote"),
    "class_weight": (None, {"blue": 2, "green": 1, "red": 3}),
    "mixup": (0, 0.4),
    "cutmix": (0, 1),
    "mixup_off_epoch": (None, 1),
    "label_smoothing": (0, 0.1),
    "monitor": ("val_loss", "val_accuracy", "loss"),
    "precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "strategy": ("auto", "one_device", "mirrored"),
    "engine": ("auto", "keras", "none"),
    "engine_error": (0.01, 0),
    "cache": (True, False),
    "method": ("supervised", "bagging:2"),
    "baselines": ((), ["boosted_trees"]),
    "lr": (None, 0.003),
    "head.pooling": ("avg", "max", "avgmax", "flatten"),
    "head.units": ([], [8], [8, 4]),
    "head.activation": ("relu", "gelu"),
    "head.dropout": (0, 0.3),
    "head.batch_normalization": (False, True),
    "head.l1": (0, 1e-4),
    "head.l2": (0, 1e-4),
    "augment.rotation_range": (0, 20),
    "augment.fill_mode": ("nearest", "reflect"),
    "augment.brightness_range": (None, [0.8, 1.2]),
    "augment.horizontal_flip": (False, True),
    "augment.color_jitter": (0, 0.3),
    "augment.randaugment": (0, 0.3),
    "augment.augmix": (0, 0.3),
    "augment.random_erasing": (0, 0.5),
    "stages": (1, 2),
    "stage.epochs": (2, 3),
    "stage.unfreeze": (None, "block3", "all", "bias", "norm"),
    "stage.optimizer": ("adam", "sgd", "adamw", "ftrl", "muon"),
    "stage.weight_decay": (None, 1e-3),
    "stage.schedule": (
        "constant",
        "cosine",
        "one_cycle",
        "exponential",
        "step",
        "staircase",
        "plateau",
    ),
    "stage.warmup_epochs": (0, 0.5),
    "stage.layer_decay": (1, 0.7),
    "stage.clipnorm": (None, 1),
    "stage.clipvalue": (None, 0.5),
    "stage.accumulate": (1, 2),
    "stage.ema": (None, 0.9),
    "stage.soup": (None, 2),
    "stage.carry": (False, True),
    "stage.l2_sp": (0, 0.01),
    "stage.l2_sp_head": (0, 0.01),
    "stage.views": ("auto", "clean", "fresh", 2),
    "stage.patience": (None, 0),
    "stage.solver": (None, "auto"),
}
"""The first value of each is the plain one. ``stage.*`` is of the last stage, ``stages`` how many;
``deterministic`` and the baseline ``scratch`` are left out: the first stays for the process, the
second runs twice. ``lora`` is, because it opens layers where ``unfreeze`` is None."""


def in_the_table(combination):
    return all(value in SETTINGS.get(setting, ()) for setting, value in combination.items())


def named(rule, combination):
    """What a refusal has to say: of each setting of the rule its name, or its value."""
    names = [name.partition("=")[0] for name in rule.settings]
    last = {setting.rpartition(".")[2]: value for setting, value in combination.items()}
    return [(name.removesuffix("s"), str(last[name])) for name in names if name in last]


RULED = [
    (combination, named(rule, combination))
    for rule in (*RECIPE_RULES, *STAGE_RULES)
    for combination in rule.refused
    if in_the_table(combination)
]
IN_GROUPS = [
    {"augment.randaugment": 0.3, "augment.augmix": 0.3},
    {"head.batch_normalization": True, "head.units": []},
]
FOLLOWING = [
    {"imbalance": "smote", "stage.l2_sp": 0.01},
    {"method": "bagging:2", "stage.l2_sp": 0.01},
    {"imbalance": "smote", "stage.layer_decay": 0.7},
    {"method": "bagging:2", "stage.layer_decay": 0.7},
    {"mixup_off_epoch": 1, "batch_size": 1},
]
"""Refused whatever a third setting is, by one rule or another."""

REFUSED = [
    *RULED,
    *((one, [(name.rpartition(".")[2],) for name in one]) for one in IN_GROUPS),
    *((one, [[name.rpartition(".")[2] for name in one]]) for one in FOLLOWING),
]
"""What cannot stand together; words of which the refusal says one of each. Other pairs run."""


def numbered(combination):
    return frozenset(
        (setting, SETTINGS[setting].index(value)) for setting, value in combination.items()
    )


def shown(combination):
    return ", ".join(
        f"{setting.rpartition('.')[2]}={value}" for setting, value in combination.items()
    )


ROWS = [
    {setting: SETTINGS[setting][i] for setting, i in sorted(row.items())}
    for row in covering(
        {setting: len(values) for setting, values in SETTINGS.items()},
        [numbered(combination) for combination, _ in REFUSED],
    )
]
SOONEST = 2
"""Rows in the ordinary suite: three in ten of all pairs."""


def recipe(**values):
    """The recipe of a row, or of the plain row with some other values."""
    settings = {"stage": {"name": "last"}, "head": {}, "augment": {}, "split": {}}
    for path, value in values.items():
        group, dot, name = path.partition(".")
        (settings[group] if dot else settings)[name or group] = value
    count, last = settings.pop("stages", 1), settings.pop("stage")
    return Classify(
        data="images",
        backbone="convnet_small",
        weights="none",
        image_size=16,
        **{**settings, "split": {"val": 6, "test": 6, **settings["split"]}},
        stages=[{"name": "first", "epochs": 1}, last][-count:],
    )


def pairs(rows):
    return {frozenset(pair) for row in rows for pair in itertools.combinations(numbered(row), 2)}


def test_every_pair_stands_in_a_row_or_is_refused():
    """No row can hold a refused pair, so what is covered is all but those that are listed."""
    every = set()
    for one, other in itertools.combinations(SETTINGS, 2):
        for i, j in itertools.product(range(len(SETTINGS[one])), range(len(SETTINGS[other]))):
            every.add(frozenset([(one, i), (other, j)]))
    listed = {numbered(one) for one, _ in REFUSED if len(one) == 2}

    assert pairs(ROWS) == every - listed
    assert len(pairs(ROWS[:SOONEST])) > 0.3 * len(every)


@pytest.mark.parametrize("row", ROWS, ids=map(str, range(len(ROWS))))
def test_what_the_table_allows_is_accepted(row):
    recipe(**row)


@pytest.mark.parametrize(("combination", "words"), REFUSED, ids=[shown(one) for one, _ in REFUSED])
def test_what_the_table_refuses_is_refused_by_name(combination, words):
    """Also in every other row."""
    with pytest.raises(BadConfiguration) as error:
        recipe(**combination)
    for alternatives in words:
        assert any(word in str(error.value) for word in alternatives), (alternatives, error.value)
    for row in ROWS:
        with pytest.raises(BadConfiguration):
            recipe(**{**row, **combination})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three colours; 12, 10 and 7 images."""
    folder = tmp_path_factory.mktemp("pairs")
    paint(folder / "images", blue=12, green=10, red=7)
    return folder


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=[pytest.mark.slow] if number >= SOONEST else [])
        for number in range(len(ROWS))
    ],
)
def test_a_row_runs_from_end_to_end(images, tmp_path, monkeypatch, number):
    """Finite metrics, whole files, and a best model that answers as the predictions say."""
    monkeypatch.chdir(images)
    monkeypatch.setenv("KT_CACHE_DIR", str(images / "cache"))
    keras.utils.clear_session()
    row = ROWS[number]

    run = recipe(**row).run(out=tmp_path / "run", name="row")

    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert set(metrics) - {"calibration"} == {"val", "test", "baselines"}
    for split in ("val", "test"):
        assert metrics[split]["n"] == len(read_predictions(run.folder / PREDICTIONS[split]).keys)
        for metric in ("accuracy", "macro_f1", "balanced_accuracy", "log_loss"):
            assert math.isfinite(metrics[split][metric])
    assert run.history[-1]["stage"].endswith("last")  # of bagging: that of its last member
    assert all(math.isfinite(one[name]) for one in run.history for name in ("loss", "val_loss"))
    saved = read_predictions(run.folder / "predictions.csv")
    answers = np.array([one.probabilities for one in run.predict(saved.keys)])
    np.testing.assert_allclose(answers, saved.probabilities, atol=CLOSE[row["precision"]])


PREDICTIONS = {"val": "predictions_val.csv", "test": "predictions.csv"}
CLOSE = {"float32": 0.02, "mixed_float16": 0.02, "mixed_bfloat16": 0.05}
"""Features may be off by engine_error, 1 %; bfloat16 keeps eight bits."""
