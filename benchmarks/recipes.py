"""What each recipe reaches: accuracy on the test split with an interval, over seeds, and seconds.

``python -m benchmarks recipes`` runs the recipes as ``kt-recipe run NAME`` does, with the settings
that they come with, on the data and the weights in ``$KT_SHARED``. The seeds of a recipe share one
cache: the first computes the features, the others find them. Folders with a test split have the
same one for all seeds; ``digits`` draws another for each. Recipes whose weights are not there are
listed as not measured. With ``--home DIR`` runs and features stay there, and what is done is not
repeated.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._child import SHARED, WEIGHTS, run_recipe
from benchmarks._report import report

CATS_DOGS = ("--data", SHARED / "data" / "cats_dogs")
VGG16 = SHARED / "weights" / "vgg16_no_top.weights.h5"
SMALL = SHARED / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"

RECIPES: dict[str, tuple[str | Path, ...]] = {
    "digits": (),
    "mobilenet_v2_catsdogs": (*CATS_DOGS, "--weights", WEIGHTS),
    "vgg16_catsdogs": (*CATS_DOGS, "--weights", VGG16),
    "mobilenet_v2_student": (*CATS_DOGS, "--weights", SMALL),
    "sentiment": ("--data", SHARED / "data" / "text" / "sst2"),
}
"""Options of the recipes that are measured."""

TEACHER = {"mobilenet_v2_student": "mobilenet_v2_catsdogs"}
"""Whose run of the same seed a student learns from."""

NOT_MEASURED = {
    "resnet50_folder": "no weights of ResNet50",
    "resnet50_catsdogs": "no weights of ResNet50",
    "resnet50_cifar10": "no weights of ResNet50",
    "efficientnet_b0_outputs": "no weights of EfficientNetB0",
}

COLUMNS = ("recipe", "accuracy", "low", "high", "least", "most", "log loss", "first s", "later s")


class Found(NamedTuple):
    """A finished run of a recipe.

    Attributes:
        accuracy: On the test split.
        log_loss: On the test split.
        val_accuracy: On the val split.
        seconds: From the first step of the run to its end, imports excluded.
        right: Whether the run is right, for each example of its test split.
    """

    accuracy: float
    log_loss: float
    val_accuracy: float
    seconds: float
    right: dict[str, bool]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks recipes")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where runs and features stay")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    found = {}
    with tempfile.TemporaryDirectory() as beside:
        home = (asked.home or Path(beside)).resolve()
        for name in asked.recipes:
            found[name] = [trained(name, seed, home) for seed in range(asked.seeds)]
    rows = [row(name, runs) for name, runs in found.items()]
    singles = {name: [as_json(run) for run in runs] for name, runs in found.items()}
    for name, reason in NOT_MEASURED.items():
        print(f"{name}: not measured, {reason}")
    report("recipes", COLUMNS, rows, seeds=asked.seeds, runs=singles, not_measured=NOT_MEASURED)


def trained(name: str, seed: int, home: Path) -> Found:
    """The run of a recipe and a seed; made where there is none yet."""
    from keras_transfer import runs

    folder = home / f"{name}-{seed}"
    if not runs.is_done(folder):
        options = [*RECIPES[name], "--seed", str(seed)]
        if name in TEACHER:
            trained(TEACHER[name], seed, home)
            options += ["--set", f"method.teacher=run:{home / TEACHER[name]}-{seed}"]
        run_recipe(name, home, folder.name, *options)
    found = read(folder)
    print(f"{name}, seed {seed}: {found.accuracy:.4f}, {found.seconds:.0f} s", flush=True)
    return found


def read(folder: Path) -> Found:
    """What the files of a run say."""
    from keras_transfer import Run
    from keras_transfer.evaluation.predictions import read_predictions

    run = Run(folder)
    test = run.metrics["test"]
    saved = read_predictions(folder / "predictions.csv")
    right = saved.probabilities.argmax(axis=1) == saved.true
    return Found(
        test["accuracy"],
        test["log_loss"],
        run.metrics["val"]["accuracy"],
        run.metadata["seconds"]["total"],
        dict(zip(saved.keys.tolist(), right.tolist(), strict=True)),
    )


def as_json(run: Found) -> dict[str, Any]:
    """The number of mistakes in place of the answers."""
    found = run._asdict()
    right = found.pop("right").values()
    return {**found, "wrong": len(right) - sum(right)}


def row(name: str, runs: Sequence[Found]) -> list[Any]:
    accuracies = [run.accuracy for run in runs]
    later = [run.seconds for run in runs[1:]]
    return [
        name,
        statistics.mean(accuracies),
        *interval([run.right for run in runs]),
        min(accuracies),
        max(accuracies),
        statistics.mean(run.log_loss for run in runs),
        runs[0].seconds,
        statistics.median(later) if later else None,
    ]


def interval(runs: Sequence[dict[str, bool]]) -> tuple[float, float]:
    """95 % interval of the mean accuracy over runs: examples are resampled, the runs stay.

    Most of the uncertainty lies in the examples, which the runs share; so all answers to an example
    are drawn together (percentile bootstrap).
    """
    from keras_transfer.evaluation.intervals import bootstrap_interval

    answers = defaultdict(list)
    for run in runs:
        for example, right in run.items():
            answers[example].append(right)
    hits = np.array([sum(each) for each in answers.values()], float)
    counts = np.array([len(each) for each in answers.values()], float)

    def accuracy(weights: np.ndarray) -> np.ndarray:
        return (weights @ hits / (weights @ counts))[:, None]

    low, high = bootstrap_interval(accuracy, len(hits))[0] or (0.0, 1.0)
    return low, high


if __name__ == "__main__":
    main()
