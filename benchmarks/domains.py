"""What `kt-recipe domains` says of photos of cats and dogs, and of the same photos made worse.

    python -m benchmarks domains [--backbone NAME[:OPTION=VALUE]] [--weights FILE]

The source has 200 training images of each class, and val and test of cats_dogs; the targets are
made of its other 500 training images of each class. Every target is compared with its labels and
without. Then the same is asked of random halves of all that have no shift.
"""

import argparse
import csv
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks._report import report
from benchmarks._shifts import (
    CLASSES,
    SHARED,
    SHIFTS,
    source_photos,
    target_photos,
    write_target,
)
from keras_transfer import catalog
from keras_transfer.quiet import import_tensorflow

HALVES = 40
"""Random pairs of halves for each size, with labels and without."""

COLUMNS = (
    *("target", "verdict", "without labels", "MMD p", "A-distance", "Fréchet", "of the source"),
    *("accuracy", "thresholded", "difference", "agreement", "action", "without labels, action"),
)


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks domains")
    parser.add_argument("--backbone", default="mobilenet_v2:alpha=0.35")
    weights = SHARED / "weights/mobilenet_v2_0.35_224_no_top.weights.h5"
    parser.add_argument("--weights", default=str(weights))
    given = parser.parse_args()
    import_tensorflow()
    from keras_transfer.studies.domains import compare_domains, recipe_of

    with tempfile.TemporaryDirectory() as name:
        folder, documents = Path(name), {}
        source = _manifests(folder)
        recipe = recipe_of(
            source, given.backbone, given.weights, catalog.find("auto_folder").recipe
        )
        for target in _targets(folder):
            documents[target.stem] = [
                compare_domains(
                    recipe,
                    target,
                    unlabelled=unlabelled,
                    out=folder / "reports" / target.stem / way,
                )[1]
                for way, unlabelled in (("labels", False), ("none", True))
            ]
        alarms = _alarms(recipe, folder)
        # The names of examples are those of a folder that is gone now.
        documents = json.loads(json.dumps(documents).replace(f"{folder}/", ""))
    rows = [_row(target, *pair) for target, pair in documents.items()]
    report("domains", COLUMNS, rows, backbone=given.backbone, documents=documents, halves=alarms)
    print(alarms)


def _table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return path


def _manifests(folder):
    """Tables of the source, and of the targets that are photos as they are."""
    source = source_photos()
    rows = [
        (path.absolute(), name, split)
        for name in CLASSES
        for split in source
        for path in source[split][name]
    ]
    photos = target_photos()
    fewer_dogs = {**photos, "dog": photos["dog"][: len(photos["dog"]) // 5]}
    for target, classes in {"same": photos, "mostly_cats": fewer_dogs}.items():
        some = [(path.absolute(), name, "") for name, paths in classes.items() for path in paths]
        _table(folder / f"{target}.csv", some)
    return str(_table(folder / "source.csv", rows).absolute())


def _targets(folder):
    """The targets, made where they are not photos as they are; all as JPEG or PNG."""
    yield from (folder / "same.csv", folder / "mostly_cats.csv")
    photos = target_photos()
    for shift in SHIFTS:
        yield write_target(folder / shift, photos, shift)


def _row(target, labelled, unlabelled):
    distances, accuracy = labelled["distances"], labelled["accuracy"]
    guessed = [one["value"] for one in accuracy["estimates"].values()]
    return [
        target,
        *(document["verdict"]["shift"] for document in (labelled, unlabelled)),
        *(distances[key] for key in ("mmd_p_value", "a_distance", "frechet", "frechet_reference")),
        accuracy["target"]["accuracy"],
        *guessed,
        accuracy["agreement"]["target"]["value"],
        *(document["recommendation"]["action"] for document in (labelled, unlabelled)),
    ]


def _alarms(recipe, folder):
    """Verdicts on random halves of examples without shift, by size and labels."""
    from keras_transfer.data.samples import Samples
    from keras_transfer.workflows.domain_measures import Domain
    from keras_transfer.workflows.domain_report import measured
    from keras_transfer.workflows.domain_source import from_data
    from keras_transfer.workflows.domain_target import draw, read_target

    (folder / "halves").mkdir()
    source = from_data(recipe, folder / "halves")
    held = source.samples.take(source.samples.splits != "train")
    target = read_target(folder / "same.csv", held.classes).samples
    parts = [held, draw(target, len(target), 0, source.judge).samples]
    features = np.concatenate([source.features(part) for part in parts])
    keys, labels = (np.concatenate([getattr(p, n) for p in parts]) for n in ("keys", "labels"))
    splits = ["test"] * len(keys)
    every = Samples.of(None, held.classes, keys, labels, splits=splits, digests=keys)
    scores, found = source.head(features), {}
    for labelled in (True, False):
        for size in (100, 400):
            verdicts = Counter()
            for seed in range(HALVES):
                order = np.random.default_rng(seed).permutation(len(keys))
                pair = [
                    Domain(every.take(some), features[some], scores[some], None, known)
                    for some, known in (
                        (order[:size], True),
                        (order[size : 2 * size], labelled),
                    )
                ]
                verdicts[measured(*pair, seed)["verdict"]["shift"]] += 1
            found[f"{size}, {'with' if labelled else 'without'} labels"] = dict(verdicts)
    return found
