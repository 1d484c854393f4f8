"""Whether `kt-recipe rank` orders backbones as linear probes on the test split do.

    python -m benchmarks rank --data DIR --sample 200 NAME[:OPTION=VALUE]=FILE ...

The probe of each backbone is fitted on the ranking's sample of the train split, with the median of
the values of C that cross-validation chose, and evaluated once on the test split.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from keras_transfer import catalog
from keras_transfer.quiet import import_tensorflow


def main() -> None:
    """Rank, then print accuracies on the test split as one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rank")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sample", type=int, required=True)
    parser.add_argument("backbones", nargs="+")
    given = parser.parse_args()
    import_tensorflow()
    from keras_transfer.studies.ranking import rank_backbones

    recipe = catalog.find("auto_folder").recipe.changed(data=given.data)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "ranking"
        _, document = rank_backbones(recipe, given.backbones, per_class=given.sample, out=out)
        rows = [tested(recipe, row, given.sample, Path(folder)) for row in document["backbones"]]
    print(json.dumps({"data": given.data, "examples": document["examples"], "backbones": rows}))


def tested(recipe, row, per_class, folder):
    """Add to a row of the ranking the accuracy of its probe on the test split."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from keras_transfer import Backbone
    from keras_transfer.data.copies import families
    from keras_transfer.evaluation.intervals import bootstrap_interval
    from keras_transfer.evaluation.weighted import accuracy
    from keras_transfer.workflows.auto_backbone import drawn
    from keras_transfer.workflows.building import build
    from keras_transfer.workflows.ranking import feature_extractor

    backbone = Backbone(name=row["name"], variant=row["variant"], weights=row["weights"])
    samples, sample = drawn(recipe, folder, recipe.data.source, per_class)
    network = build(backbone, recipe.input, (), backbone.weights, None)
    extractor = feature_extractor(network, backbone, sample)
    test = samples.split("test")
    train_features, test_features = (
        table.take(np.arange(len(table))).astype("float64")
        for table in (extractor.table(sample.train), extractor.table(test))
    )
    strength = float(np.median(row["strengths"]))
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    decided = probe.fit(train_features, sample.train.labels).predict(test_features)
    (interval,) = bootstrap_interval(
        lambda weights: accuracy(weights, test.labels, decided)[:, None],
        len(test),
        families=families(test.digests),
    )
    test_accuracy = float((decided == test.labels).mean())
    return {**row, "test_accuracy": test_accuracy, "test_interval": interval, "tested": len(test)}
