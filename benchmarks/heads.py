"""The head solved by logistic regression against the recipes' epochs of Adam, over several seeds.

``python -m benchmarks heads`` trains a linear head on MobileNetV2 0.35 with its real weights: as
mobilenet_v2_catsdogs does (5 epochs), as resnet50_folder does (20 epochs, patience 3), and solved
(``solver: logistic``). With ``--heads`` of those that are ``tuned``, the last fifth of the layers
is tuned afterwards as in resnet50_folder. Differences are paired by seed, with Student's 95 %
interval. With ``--home DIR`` the runs and their cached features stay there, and what is done is not
repeated.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from benchmarks._child import SHARED
from benchmarks._report import paired, report, shown, table
from benchmarks.settings import DATA, mean, verdict

WEIGHTS = SHARED / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"

ADAM = {"name": "head", "learning_rate": 1e-3}
HEADS: dict[str, dict[str, Any]] = {
    "5 epochs": {**ADAM, "epochs": 5},
    "20 epochs": {**ADAM, "epochs": 20, "patience": 3},
    "logistic": {"name": "head", "solver": "logistic"},
}
TUNE = {
    "name": "tune",
    "epochs": 20,
    "learning_rate": 1e-5,
    "unfreeze": 0.2,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "patience": 5,
}
"""The second stage of resnet50_folder."""

AUGMENT = {
    "rotation_range": 10,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "zoom_range": 0.1,
    "horizontal_flip": True,
}
"""Its augmentation, which only the stage that tunes sees."""

SETTINGS = [*HEADS, "20 epochs, tuned", "logistic, tuned"]
OURS = {"logistic": ("5 epochs", "20 epochs"), "logistic, tuned": ("20 epochs, tuned", "logistic")}
"""What each solved head is compared with."""

METRICS = ("accuracy", "log_loss", "seconds")

SECONDS = re.compile(r"(?:head \d+/\d+ |Logistic regression: ).*\(([\d.]+) s\)$", re.MULTILINE)
"""The lines of a head in the log: an epoch, or the solution."""

Found = dict[str, list[dict[str, float]]]
"""Metrics by setting, one set a seed."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks heads")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--heads", nargs="+", choices=SETTINGS, default=list(HEADS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where runs and features stay")
    parser.add_argument("--done", action="store_true", help="train nothing, show what is there")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    found, rows = {}, []
    columns = ("data", "head", *METRICS, "compared with", "accuracy", "log loss", "verdict")
    with tempfile.TemporaryDirectory() as beside:
        home = (asked.home or Path(beside)).resolve()
        os.environ["KT_CACHE_DIR"] = str(home / "cache")
        for data in asked.data:
            found[data] = trained(data, asked, home)
            rows += [row for head in found[data] for row in compared(data, head, found[data])]
            print(table(columns, rows), flush=True)
    report("heads", columns, rows, seeds=asked.seeds, settings=HEADS | {"tuned": TUNE}, runs=found)


def trained(data: str, asked: argparse.Namespace, home: Path) -> Found:
    """Test metrics and seconds of the head, for each setting and seed; settings in turn."""
    import keras

    from keras_transfer import runs

    logging.getLogger("keras_transfer").setLevel(logging.INFO)
    found: Found = {head: [] for head in SETTINGS if head in asked.heads}
    for seed in range(asked.seeds):
        for head in found:
            folder = home / data / f"{head}-{seed}"
            if asked.done and not runs.is_done(folder):
                continue
            keras.utils.clear_session()
            run = done(folder, data, head, seed)
            times = SECONDS.findall((folder / "log.txt").read_text(encoding="utf-8"))
            metrics = {name: run.metrics["test"][name] for name in ("accuracy", "log_loss")}
            found[head].append({**metrics, "seconds": sum(map(float, times))})
            print(data, head, seed, found[head][-1], flush=True)
    return {head: metrics for head, metrics in found.items() if len(metrics) == asked.seeds}


def done(folder: Path, data: str, head: str, seed: int) -> Any:
    """The run of a setting and a seed; made, or resumed, where there is none yet."""
    from keras_transfer import Classify, Run, runs

    if not runs.is_done(folder):
        name, _, tuned = head.partition(", ")
        solved_only = name == "logistic" and not tuned
        recipe = Classify(
            backbone={"name": "mobilenet_v2", "variant": {"alpha": 0.35}},
            weights=str(WEIGHTS),
            head={} if solved_only else {"dropout": 0.2 if name == "5 epochs" else 0.3},
            stages=[HEADS[name], TUNE] if tuned else [HEADS[name]],
            **{"augment": AUGMENT} if tuned else {},
            **DATA[data].settings,
            seed=seed,
        )
        recipe.run_in(folder, "heads", recipe.data.source)
    return Run(folder)


def compared(data: str, head: str, found: Found) -> list[list[Any]]:
    """A row for each head that a solved one is compared with; one row for others."""
    means = [mean(found[head], name) for name in METRICS]
    others = [other for other in OURS.get(head, ()) if other in found]
    if not others:
        return [[data, head, *means, "-", "-", "-", "-"]]
    rows = []
    for other in others:
        accuracy, loss = (difference(head, other, name, found) for name in METRICS[:2])
        rows.append([data, head, *means, other, shown(accuracy), shown(loss), verdict(accuracy)])
    return rows


def difference(head: str, other: str, name: str, found: Found) -> tuple[float, float]:
    """Mean difference of a metric, and half of its interval."""
    ours, theirs = ([metrics[name] for metrics in found[one]] for one in (head, other))
    return paired(ours, theirs)


if __name__ == "__main__":
    main()
