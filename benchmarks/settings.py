"""What each setting does to accuracy: one at a time, beside the plain recipe, over several seeds.

``python -m benchmarks settings`` trains a head on MobileNetV2's real weights, and a second time its
last blocks too, on cats_dogs (50, 200 and 1,400 images), trashnet and cifar10_subset; then again
with one setting changed. The test splits are the same for all. Differences to the plain recipe are
paired by seed, with Student's 95 % interval; three seeds make that wide: most show none.
With ``--home DIR`` the runs and their cached features stay there, and what is done is not repeated.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._child import SHARED, WEIGHTS
from benchmarks._report import paired, report, shown, table


class Data(NamedTuple):
    """What is trained on.

    Attributes:
        settings: Of the recipe.
        views: Of each image, for settings that change images.
    """

    settings: dict[str, Any]
    views: int


def _cats_dogs(n: int) -> dict[str, Any]:
    return {"data": str(SHARED / "data" / "cats_dogs"), "split": {"train": n}}


DATA = {
    "cats_dogs 50": Data(_cats_dogs(50), 8),
    "cats_dogs 200": Data(_cats_dogs(200), 4),
    "cats_dogs 1400": Data(_cats_dogs(1400), 2),
    "trashnet": Data({"data": str(SHARED / "data" / "trashnet")}, 2),
    "cifar10": Data(
        {
            "data": str(SHARED / "data" / "cifar10_subset" / "cifar10_5000_1000.npz"),
            "image_size": 96,
            "split": {"val": 500, "train": 1000},
        },
        2,
    ),
}
BOOSTING = "boosted trees instead"
"""Their metrics stand beside those of the run."""

HEAD: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout 0.5": {"head": {"dropout": 0.5}},
    "hidden layer of 256": {"head": {"units": (256,)}},
    "pooling avgmax": {"head": {"pooling": "avgmax"}},
    "L2 0.01 on the head": {"head": {"l2": 0.01}},
    "adamw, decay 0.05": {"stage": {"optimizer": "adamw", "weight_decay": 0.05}},
    "sgd 0.01": {"stage": {"optimizer": "sgd", "learning_rate": 0.01}},
    "one_cycle 3e-3": {"stage": {"schedule": "one_cycle", "learning_rate": 3e-3}},
    "cosine, warm-up": {"stage": {"schedule": "cosine", "warmup_epochs": 1}},
    "ema 0.99": {"stage": {"ema": 0.99}},
    "soup of 5": {"stage": {"soup": 5}},
    "lr auto": {"lr": "auto"},
    "bit, the whole network": {"schedule": "bit"},
    "bagging of 10": {"method": "bagging:10"},
    BOOSTING: {"baselines": ("boosted_trees",)},
    "label_smoothing 0.1": {"label_smoothing": 0.1},
    "mixup 0.2": {"mixup": 0.2},
    "cutmix 1": {"cutmix": 1.0},
    "flip, views": {"augment": {"horizontal_flip": True}},
    "geometry, views": {
        "augment": {"horizontal_flip": True, "rotation_range": 15, "zoom_range": 0.15}
    },
    "color_jitter 0.3, views": {"augment": {"color_jitter": 0.3}},
    "randaugment 0.5, views": {"augment": {"randaugment": 0.5}},
    "augmix 0.5, views": {"augment": {"augmix": 0.5}},
    "random_erasing 0.5, views": {"augment": {"random_erasing": 0.5}},
}
"""Of a run of the head alone."""

TUNED: dict[str, dict[str, Any]] = {
    "tuned": {},
    "batch_norm train": {"batch_norm": "train"},
    "layer_decay 0.8": {"tunes": [{"layer_decay": 0.8}]},
    "l2_sp 0.01": {"tunes": [{"l2_sp": 0.01, "l2_sp_head": 0.01}]},
    "clipnorm 1": {"tunes": [{"clipnorm": 1.0}]},
    "accumulate 2": {"tunes": [{"accumulate": 2}]},
    "tuned, ema 0.99": {"tunes": [{"ema": 0.99}]},
    "tuned, soup of 4": {"tunes": [{"soup": 4}]},
    "block after block": {
        "tunes": [
            {"name": "last", "unfreeze": "block_16", "epochs": 2, "schedule": "constant"},
            {"epochs": 2, "carry": True},
        ]
    },
    "tuned, mixup 0.2": {"mixup": 0.2},
    "tuned, label_smoothing 0.1": {"label_smoothing": 0.1},
}
"""Of a run of the head, and then of the blocks from block_13 on."""

TUNE = {
    "name": "tune",
    "epochs": 4,
    "learning_rate": 5e-5,
    "schedule": "cosine",
    "unfreeze": "block_13",
}

PLAIN = {**dict.fromkeys(HEAD, "plain"), **dict.fromkeys(TUNED, "tuned"), "tuned": "plain"}
"""What each row is compared with."""

Found = dict[str, list[dict[str, float]]]
"""Metrics by setting, one set a seed."""

METRICS = ("accuracy", "macro_f1", "log_loss")
COLUMNS = ("setting", *METRICS, "accuracy - plain", "verdict")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks settings")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--settings", nargs="+", choices=PLAIN, default=list(PLAIN))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where runs and features stay")
    parser.add_argument("--done", action="store_true", help="train nothing, show what is there")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    found = {}
    with tempfile.TemporaryDirectory() as beside:
        home = (asked.home or Path(beside)).resolve()
        os.environ["KT_CACHE_DIR"] = str(home / "cache")
        for data in asked.data:
            found[data] = trained(data, asked, home)
            print(f"\n{data}, {asked.seeds} seeds")
            print(
                table(COLUMNS, [row(setting, found[data]) for setting in found[data]]), flush=True
            )
    columns = ("setting", *found)
    rows = [[setting, *(summary(setting, found[data]) for data in found)] for setting in PLAIN]
    report("settings", columns, rows, seeds=asked.seeds, settings=HEAD | TUNED, runs=found)


def trained(data: str, asked: argparse.Namespace, home: Path) -> Found:
    """Test metrics for each setting and seed; a setting takes its turn in every seed."""
    import keras

    from keras_transfer import runs

    logging.getLogger("keras_transfer").setLevel(logging.WARNING)
    wanted = {"plain", *asked.settings, *(PLAIN[setting] for setting in asked.settings)}
    settings = [setting for setting in PLAIN if setting in wanted]
    found: Found = {setting: [] for setting in settings}
    for seed in range(asked.seeds):
        for setting in settings:
            folder = home / data / f"{setting}-{seed}"
            if asked.done and not runs.is_done(folder):
                continue
            keras.utils.clear_session()
            run = done(folder, DATA[data], setting, seed)
            beside = run.metrics["baselines"]
            metrics = beside["boosted_trees"] if setting == BOOSTING else run.metrics["test"]
            found[setting].append({name: metrics[name] for name in METRICS})
            print(data, setting, seed, found[setting][-1], flush=True)
    return {setting: metrics for setting, metrics in found.items() if len(metrics) == asked.seeds}


def done(folder: Path, data: Data, setting: str, seed: int) -> Any:
    """The run of a setting and a seed; made, or gone on with, where there is none yet."""
    from keras_transfer import Classify, Run, runs

    if not runs.is_done(folder):
        recipe = Classify(**dict(options(data, setting)), seed=seed)
        recipe.run_in(folder, "settings", recipe.data.source)
    return Run(folder)


def options(data: Data, setting: str) -> Iterator[tuple[str, Any]]:
    """All settings of a run that are not left alone."""
    changed = {**HEAD, **TUNED}[setting].copy()
    stages = [{"name": "head", "epochs": 10, **changed.pop("stage", {})}]
    if setting in TUNED:
        stages += [TUNE | one for one in changed.pop("tunes", [{}])]
    yield "backbone", "mobilenet_v2"
    yield "weights", str(WEIGHTS)
    yield "imbalance", "none"
    yield "stages", stages
    yield "head", {"dropout": 0.2, **changed.pop("head", {})}
    yield from {**data.settings, **changed}.items()
    if "augment" in changed:
        yield "views", data.views


def row(setting: str, found: Found) -> list[Any]:
    means = [mean(found[setting], name) for name in METRICS]
    if PLAIN[setting] == setting:
        return [setting, *means, "-", "-"]
    difference = gain(setting, found)
    return [setting, *means, shown(difference), verdict(difference)]


def summary(setting: str, found: Found) -> str | None:
    """The accuracy of a plain recipe; of others the difference to theirs, marked if it is one."""
    if setting not in found:
        return None
    if PLAIN[setting] == setting:
        return f"{mean(found[setting], 'accuracy'):.3f}"
    difference = gain(setting, found)
    return shown(difference) + {"helps": " +", "hurts": " -"}.get(verdict(difference), "")


def mean(metrics: list[dict[str, float]], name: str) -> float:
    return float(np.mean([one[name] for one in metrics]))


def gain(setting: str, found: Found) -> tuple[float, float]:
    ours, plain = ([one["accuracy"] for one in found[which]] for which in (setting, PLAIN[setting]))
    return paired(ours, plain)


def verdict(difference: tuple[float, float]) -> str:
    mean, half = difference
    return "helps" if mean > half else "hurts" if mean < -half else "no difference shown"


if __name__ == "__main__":
    main()
