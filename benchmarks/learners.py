"""Classical learners on frozen features, and on the features of two networks side by side.

``python -m benchmarks learners`` takes the features of MobileNetV2 and of VGG16 with their real
weights, and of both, on cats_dogs (50, 200 and 1,400 images), trashnet and cifar10_subset, and fits
each learner as ``FeatureExtraction`` does: its main parameter by cross-validation on the train
split. Accuracy on the test split is the mean over seeds, which draw other training images and
folds; the difference to logistic regression on the same features is paired by seed, with Student's
95 % interval. With ``--home DIR`` the cached features stay there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks._child import SHARED
from benchmarks._report import paired, report, shown, table
from benchmarks.settings import DATA, verdict
from keras_transfer.config.groups import LearnerName

WEIGHTS = {
    "mobilenet_v2": SHARED / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5",
    "vgg16": SHARED / "weights" / "vgg16_no_top.weights.h5",
}
FEATURES = (*WEIGHTS, "both")
BASELINE = "logistic_regression"
LEARNERS = get_args(LearnerName)

Split = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(n, channels) features, (n,) labels, (n,) families."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks learners")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--features", nargs="+", choices=FEATURES, default=list(FEATURES))
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where features stay")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    columns = ("data", "features", "learner", "accuracy", "to logistic regression", "verdict", "s")
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as beside:
        os.environ["KT_CACHE_DIR"] = str((asked.home or Path(beside)).resolve() / "cache")
        for data in asked.data:
            for features in asked.features:
                found = {name: [] for name in dict.fromkeys((BASELINE, *asked.learners))}
                for seed in range(asked.seeds):
                    train, test, blocks = splits(data, features, seed)
                    for name in found:
                        found[name].append(fitted(name, train, test, blocks, seed))
                rows += compared(data, features, found)
                print(table(columns, rows), flush=True)
    report("learners", columns, rows, seeds=asked.seeds)


def splits(data: str, features: str, seed: int) -> tuple[Split, Split, list[int]]:
    """Train and test split, and the numbers of channels of the networks."""
    from keras_transfer import Classify

    found = [
        Classify(
            backbone=name, weights=str(WEIGHTS[name]), **DATA[data].settings, seed=seed
        ).features(splits=("train", "test"))
        for name in (WEIGHTS if features == "both" else (features,))
    ]
    values = np.concatenate([one.values for one in found], axis=1)
    parts = []
    for split in ("train", "test"):
        rows = found[0].splits == split
        # No copies: every image is a family of its own.
        parts.append((values[rows], found[0].labels[rows], np.arange(int(rows.sum()))))
    return parts[0], parts[1], [one.values.shape[1] for one in found]


def fitted(
    name: str, train: Split, test: Split, blocks: list[int], seed: int
) -> tuple[float, float]:
    """Accuracy on the test split, and seconds."""
    import keras

    from keras_transfer.learners.examples import Examples
    from keras_transfer.learners.fitting import fit_learner
    from keras_transfer.workflows.learner_heads import learner_logits

    features, labels, families = train
    examples = Examples(features[None], labels, np.ones(len(labels)), families)
    began = time.perf_counter()
    more = blocks if len(blocks) > 1 else []
    found = fit_learner(name, {}, examples, int(labels.max()) + 1, seed, blocks=more)
    seconds = time.perf_counter() - began
    given = keras.Input((features.shape[1],))
    model = keras.Model(given, learner_logits(found.head, given))
    answers = np.concatenate([model(part) for part in np.array_split(test[0], 4)]).argmax(1)
    keras.utils.clear_session()
    return float((answers == test[1]).mean()), seconds


def compared(
    data: str, features: str, found: dict[str, list[tuple[float, float]]]
) -> Iterator[list[Any]]:
    """A row for each learner."""
    plain = [accuracy for accuracy, _ in found[BASELINE]]
    for name, results in found.items():
        accuracies, seconds = (list(column) for column in zip(*results, strict=True))
        means = [f"{np.mean(accuracies):.3f}", f"{np.mean(seconds):.1f}"]
        if name == BASELINE:
            yield [data, features, name, means[0], "-", "-", means[1]]
        else:
            difference = paired(accuracies, plain)
            # With all images of a train split, seeds change nothing but folds.
            same = len({*accuracies, *plain}) <= 2
            judged = "the same images" if same else verdict(difference)
            row = [data, features, name, means[0], shown(difference), judged]
            yield [*row, means[1]]


if __name__ == "__main__":
    main()
