"""What `kt-recipe domains` says of photos of cats and dogs, and of the same photos made worse.

    python -m benchmarks domains [--backbone NAME[:OPTION=VALUE]] [--weights FILE]

The source has 200 training images of each class, and val and test of cats_dogs; the targets are
made of its other 500 training images of each class. Every target is compared with its labels and
without. Then the same is asked of random halves of all that have no shift.
"""

import argparse
import csv
import json
import os
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from benchmarks._report import report
from keras_transfer import catalog
from keras_transfer.quiet import import_tensorflow

SHARED = Path(os.environ.get("KT_SHARED", "../shared"))
TRAINED = 200
CLASSES = ("cat", "dog")
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


def _files(split, name):
    return sorted((SHARED / "data/cats_dogs" / split / name).iterdir())


def _table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return path


def _manifests(folder):
    """Tables of the source, and of the targets that are photos as they are."""
    rows, other = [], {"same": [], "mostly_cats": []}
    for name in CLASSES:
        files = {split: _files(split, name) for split in ("train", "val", "test")}
        left, files["train"] = files["train"][TRAINED:], files["train"][:TRAINED]
        rows += [(path.absolute(), name, split) for split, some in files.items() for path in some]
        other["same"] += [(path.absolute(), name, "") for path in left]
        few = left if name == "cat" else left[: len(left) // 5]
        other["mostly_cats"] += [(path.absolute(), name, "") for path in few]
    for target, some in other.items():
        _table(folder / f"{target}.csv", some)
    return str(_table(folder / "source.csv", rows).absolute())


def _night(rng, image):
    dark = 0.25 * np.asarray(image, float)
    return Image.fromarray((dark + rng.normal(0, 12, dark.shape)).clip(0, 255).astype("uint8"))


def _resized(image):
    for size in (224, 200, 224):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return image


def _targets(folder):
    """The targets, made where they are not photos as they are; all as JPEG or PNG."""
    changes = {
        "resized": _resized,
        "inverted": ImageOps.invert,
        "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.02 * min(image.size))),
        "night": partial(_night, np.random.default_rng(0)),
        "edges": lambda image: image.filter(ImageFilter.FIND_EDGES),
        "jpeg": lambda image: image,
    }
    yield from (folder / "same.csv", folder / "mostly_cats.csv")
    for target, change in changes.items():
        for name in CLASSES:
            (folder / target / name).mkdir(parents=True)
            for path in _files("train", name)[TRAINED:]:
                suffix = ".png" if target == "resized" else ".jpg"
                quality = {} if suffix == ".png" else {"quality": 5 if target == "jpeg" else 95}
                with Image.open(path) as image:
                    changed = change(image.convert("RGB"))
                changed.save(folder / target / name / f"{path.stem}{suffix}", **quality)
        yield folder / target


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
