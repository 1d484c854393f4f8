"""What it costs that a stage which tunes the backbone sees augmented images by default.

``python -m benchmarks tuned_views`` trains recipe mobilenet_v2_catsdogs on cats_dogs with
MobileNetV2's real weights: with clean images in both stages (the default before), with a clean
head and tuned blocks that see two views (the default), and with two views in both stages. The modes
take turns within a seed, and each run has caches of its own, so it computes all of its features.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks._child import SHARED, WEIGHTS, run_recipe, setting
from benchmarks._report import report

MODES: dict[str, list[str]] = {
    "clean": ["--views", "clean"],
    "default": [],
    "both": ["--views", "2"],
}
AUGMENT: dict[str, dict[str, Any]] = {
    "cats_dogs": {},
    "trashnet": {"horizontal_flip": True, "rotation_range": 15, "zoom_range": 0.15},
}
COLUMNS = ("data", "mode", "accuracy", "least", "most", "s", "ratio", "processor s", "ratio")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks tuned_views")
    parser.add_argument("--data", nargs="+", choices=AUGMENT, default=["cats_dogs"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="of the images, for a trial")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    runs: dict[str, dict[str, list[dict[str, float]]]] = {}
    for data in asked.data:
        runs[data] = {mode: [] for mode in MODES}
        for seed in range(asked.seeds):
            for mode, found in runs[data].items():
                found.append(trained(data, mode, seed, asked.limit))
                print(data, mode, seed, found[-1], flush=True)
    rows = [row(data, mode, runs[data]) for data in runs for mode in runs[data]]
    report("tuned_views", COLUMNS, rows, options=vars(asked), runs=runs)


def trained(data: str, mode: str, seed: int, limit: int | None) -> dict[str, float]:
    """Accuracy, seconds, and seconds of both processors in one run without any cache."""
    options = ["--data", SHARED / "data" / data, "--weights", WEIGHTS, "--seed", str(seed)]
    options += setting("augment", AUGMENT[data]) if AUGMENT[data] else []
    options += setting("stages.0.optimizer.solver", None)  # views are for epochs of training
    options += ["--limit", str(limit)] if limit else []
    with tempfile.TemporaryDirectory() as home:
        before = processor_seconds()
        child = run_recipe("mobilenet_v2_catsdogs", Path(home), "run", *options, *MODES[mode])
    return {
        "accuracy": child.document["metrics"]["test"]["accuracy"],
        "seconds": child.seconds,
        "processor": processor_seconds() - before,
    }


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(data: str, mode: str, found: dict[str, list[dict[str, float]]]) -> list[Any]:
    """Medians of the times; ratios are medians of the ratios within a seed."""
    accuracies = [run["accuracy"] for run in found[mode]]
    cells: list[Any] = [data, mode, statistics.mean(accuracies), min(accuracies), max(accuracies)]
    for time in ("seconds", "processor"):
        pairs = zip(found[mode], found["clean"], strict=True)
        ratios = [run[time] / clean[time] for run, clean in pairs]
        cells += [statistics.median(run[time] for run in found[mode]), statistics.median(ratios)]
    return cells


if __name__ == "__main__":
    main()
