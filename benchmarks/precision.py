"""What half precision changes: in features, and in training.

    python -m benchmarks precision features   # what the criterion sees, and test accuracy
    python -m benchmarks precision training --seeds 3   # accuracy and seconds of whole runs

Both need the images and weights in ``$KT_SHARED``. ``features`` computes float32 and bfloat16
features of real networks, shows the errors and what a probe says of them, and compares the test
accuracy of a logistic regression on either. ``training`` runs recipes in float32 and in
``mixed_bfloat16``, in turn, on the same cached features.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._child import SHARED, run_recipe
from benchmarks._report import paired, report, shown

WEIGHTS = SHARED / "weights"
SMALL = "mobilenet_v2_0.35_224_no_top.weights.h5"
NETWORKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "vgg16": ("vgg16", {}, "vgg16_no_top.weights.h5"),
    "mobilenet_v2": ("mobilenet_v2", {}, "mobilenet_v2_1.0_224_no_top.weights.h5"),
    "mobilenet_v2 0.35": (
        "mobilenet_v2",
        {"alpha": 0.35},
        "mobilenet_v2_0.35_224_no_top.weights.h5",
    ),
}
DATA = ("cats_dogs", "trashnet")

RUNS: dict[str, tuple[str | Path, ...]] = {
    "vgg16_catsdogs": ("--weights", WEIGHTS / "vgg16_no_top.weights.h5"),
    "mobilenet_v2_catsdogs": ("--weights", WEIGHTS / "mobilenet_v2_1.0_224_no_top.weights.h5"),
}


class Trained(NamedTuple):
    """A finished run.

    Attributes:
        accuracy: On the test split.
        log_loss: On the test split.
        seconds: Of the epochs of the last stage.
    """

    accuracy: float
    log_loss: float
    seconds: float


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks precision")
    parser.add_argument("what", choices=("features", "training"))
    parser.add_argument("--limit", type=int, default=300, help="images of a data set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--home", type=Path, help="where runs and features stay")
    asked = parser.parse_args()
    if asked.what == "features":
        features(asked.limit)
    else:
        training(asked)


def features(limit: int) -> None:
    """Compare features of both precisions, by the criterion and by test accuracy."""
    rows = [
        (name, data, *compared(*NETWORKS[name], data, limit)) for name in NETWORKS for data in DATA
    ]
    columns = ("error %", "of differences %", "agreement", "probability", "neighbours", "taken")
    accuracies = ("accuracy float32", "accuracy bfloat16", "answers that differ")
    report("precision_features", ("network", "data", *columns, *accuracies), rows, limit=limit)


def compared(name: str, variant: dict[str, Any], file: str, data: str, limit: int) -> list[Any]:
    """The cells of a network on a data set."""
    from keras_transfer import Classify
    from keras_transfer.features.probing import neighbour_agreement, probe_change
    from keras_transfer.features.selection import NEGLIGIBLE

    recipe = Classify(
        data=str(SHARED / "data" / data), backbone={"name": name, "variant": variant}, limit=limit
    ).changed(weights=str(WEIGHTS / file))
    exact, half, labels, splits = both(recipe)
    train, test = splits == "train", splits == "test"
    few = np.flatnonzero(train)[:: max(1, train.sum() // 64)]
    error = np.linalg.norm(half[few] - exact[few]) / np.linalg.norm(exact[few])
    centred = exact[few] - exact[few].mean(axis=0)
    relative = np.linalg.norm(half[few] - exact[few]) / np.linalg.norm(centred)
    change = probe_change(half[few], exact[few], labels[few])
    neighbours = neighbour_agreement(half[few], exact[few])
    taken = error <= recipe.runtime.engine_error and (relative <= NEGLIGIBLE or change.harmless)
    answers = [answered(some[train], labels[train], some[test]) for some in (exact, half)]
    right = [float((one == labels[test]).mean()) for one in answers]
    differ = int((answers[0] != answers[1]).sum())
    return [
        *(100 * float(error), 100 * float(relative)),
        *(change.agreement, change.probability, neighbours),
        *("yes" if taken else "no", *right, f"{differ} of {int(test.sum())}"),
    ]


def both(recipe: Any) -> tuple[np.ndarray, ...]:
    """Pooled features in float32 and in bfloat16, labels, splits."""
    from keras_transfer.data.batches import plain_batches
    from keras_transfer.features.engines import available, build_engine
    from keras_transfer.workflows.frozen_features import build_cut
    from keras_transfer.workflows.pretrained import resolve_weights
    from keras_transfer.workflows.reading import read_samples

    name, _ = available()[0]
    cut = build_cut(recipe, resolve_weights(recipe.backbone.weights), "avg", None)
    samples = read_samples(
        recipe.data, recipe.data.source, None,
        given=recipe.input, seed=recipe.seed, objectives=recipe.objectives,
    )  # fmt: skip
    pixels = [
        batch["pixels"]
        for batch in plain_batches(samples, loading(recipe, cut)).as_numpy_iterator()
    ]
    exact, half = (
        np.concatenate(list(build_engine(name, precision, cut.frozen)(iter(pixels))))
        for precision in ("float32", "bfloat16")
    )
    return exact, half, samples.labels, samples.splits


def loading(recipe: Any, cut: Any) -> Any:
    """How images become pixels."""
    from keras_transfer.data.batches import Loading

    first, *_ = cut.before[0].inputs
    return Loading(recipe.input.bind(None, first.shape[1]), 32)


def answered(features: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Classes by a logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    return model.fit(features, labels).predict(others)


def training(asked: argparse.Namespace) -> None:
    """Compare whole runs in both precisions, which take turns."""
    with tempfile.TemporaryDirectory() as folder:
        home = asked.home or Path(folder)
        rows = [trained(name, asked.seeds, home) for name in asked.recipes]
    columns = (
        "recipe",
        "float32",
        "mixed_bfloat16",
        "difference",
        "log loss",
        "steps, times as fast",
    )
    report("precision_training", columns, rows, seeds=asked.seeds)


def trained(name: str, seeds: int, home: Path) -> tuple[Any, ...]:
    """The row of a recipe."""
    found: dict[str, list[Trained]] = {"float32": [], "mixed_bfloat16": []}
    for seed in range(seeds):
        for precision, results in found.items():
            results.append(one_run(name, seed, precision, home))
            print(name, seed, precision, results[-1], flush=True)
    exact, half = found.values()
    ratios = [a.seconds / b.seconds for a, b in zip(exact, half, strict=True)]
    return (
        name,
        float(np.mean([one.accuracy for one in exact])),
        float(np.mean([one.accuracy for one in half])),
        shown(paired([one.accuracy for one in half], [one.accuracy for one in exact])),
        shown(paired([one.log_loss for one in half], [one.log_loss for one in exact])),
        f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    )


def one_run(name: str, seed: int, precision: str, home: Path) -> Trained:
    """Run a recipe, and read what it reached."""
    folder = f"{name}_{seed}_{precision}"
    words = ("--data", SHARED / "data" / "cats_dogs", *RUNS[name], "--seed", str(seed))
    child = run_recipe(name, home, folder, *words, "--precision", precision)
    metrics = json.loads((home / folder / "metrics.json").read_text())["test"]
    last = child.epochs[-1].stage
    tuned = [epoch.seconds for epoch in child.epochs if epoch.stage == last]
    return Trained(metrics["accuracy"], metrics["log_loss"], sum(tuned))
