"""How many of the labels that were flipped on purpose `kt-recipe check --label-errors` finds.

    python -m benchmarks label_errors [--seeds N] [--share S]

Of the train split of cats_dogs and of trashnet, 5 % of the labels are replaced by another class,
drawn by the seed. k is their number. Features are those of MobileNetV2. The last columns are the
test accuracy of a logistic regression that learns from the labels as they were, as they are after
the flips, as the table would set them if nobody looked at it, and as a user would set them who
looks at its rows and knows the truth.
"""

import argparse
from dataclasses import replace

import numpy as np

from benchmarks._child import SHARED, WEIGHTS
from benchmarks._report import report
from keras_transfer import Classify
from keras_transfer.config.groups import Backbone
from keras_transfer.evaluation.label_errors import label_errors
from keras_transfer.quiet import import_tensorflow

DATA = ("cats_dogs", "trashnet")

COLUMNS = (
    *("data", "seed", "k", "listed", "p@k/2", "p@k", "recall@k", "recall", "precision"),
    *("p@k/2 by margin", "suggestion right", "estimated errors", "without flips"),
    *("clean", "flipped", "unseen", "reviewed"),
)


def main() -> None:
    """Flip, look, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks label_errors")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.05)
    given = parser.parse_args()
    import_tensorflow()
    from keras_transfer.workflows.frozen_features import extracted

    rows = []
    for name in DATA:
        data = str(SHARED / "data" / name)
        recipe = Classify(data=data, backbone=Backbone("mobilenet_v2", weights=str(WEIGHTS)))
        found = extracted(recipe, data)
        split = {one: found.samples.splits == one for one in ("train", "test")}
        train, test = ((found.samples.take(split[one]), found.values[split[one]]) for one in split)
        rows += [_row(name, train, test, seed, given.share) for seed in range(given.seeds)]
    report("label_errors", COLUMNS, rows, seeds=given.seeds, share=given.share)


def _row(name, train, test, seed, share):
    from keras_transfer.workflows.label_check import check_labels

    samples, features = train
    flips, labels = flipped(samples.labels, len(samples.classes), share, seed)
    original = check_labels(samples, features, seed)
    checked = check_labels(replace(samples, labels=labels), features, seed)
    found, k = checked.found, len(flips)
    hits = np.isin(found.rows, flips)
    margin = label_errors(labels, checked.probabilities, rank_by="normalized_margin")
    applied, reviewed = labels.copy(), labels.copy()
    applied[found.rows] = found.suggested
    reviewed[found.rows] = samples.labels[found.rows]
    return [
        *(name, seed, k, len(found.rows)),
        *(float(hits[: k // 2].mean()), float(hits[:k].mean()), float(hits[:k].sum() / k)),
        *(float(hits.sum() / k), float(hits.mean())),
        float(np.isin(margin.rows, flips)[: k // 2].mean()),
        float((found.suggested == samples.labels[found.rows])[hits].mean()),
        *(checked.document["estimated_errors"], len(original.found.rows)),
        *(
            _accuracy(features, some, test, seed)
            for some in (samples.labels, labels, applied, reviewed)
        ),
    ]


def flipped(labels, classes, share, seed):
    """The rows of a share of the labels, and all labels with those replaced by another class."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(labels), round(share * len(labels)), replace=False))
    changed = labels.copy()
    changed[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return rows, changed


def _accuracy(features, labels, test, seed):
    from keras_transfer.learners.examples import Examples
    from keras_transfer.learners.logistic import fit_logistic

    samples, held = test
    n = len(labels)
    examples = Examples(features[None], labels, np.ones(n, "float32"), np.arange(n))
    head = fit_logistic(examples, len(samples.classes), seed)
    decided = (held @ head.kernel + head.bias).argmax(axis=1)
    return float((decided == samples.labels).mean())
