"""Fixtures: finished runs on texts, one for each objective, and their exports."""

import csv
import random
from functools import cache, partial

import pytest
from made_once import export_once, run_once

from keras_transfer import FineTune, Stage, Text
from keras_transfer.objectives.regression import Regression

SPLITS = 24 * ["train"] + 6 * ["val"] + 10 * ["test"]
STARS = "stars-of.5"
"""Name of an output that is no name of a tensor."""

GOOD = ("good", "lovely", "bright", "tender")
BAD = ("bad", "dull", "noisy", "cold")
OTHER = ("a", "film", "and", "plot", "cast", "it", "is", "the")


def write_table(folder):
    """40 made-up reviews, and what is said of each.

    The columns: ``label`` (good or bad), ``about`` (of plot and cast those that occur), ``praise``
    and ``blame`` (numbers of such words), and stars with empty cells.
    """
    rng = random.Random(0)
    rows = []
    for place, split in enumerate(SPLITS):
        said = rng.sample(GOOD if place % 2 else BAD, 3)
        words = said + rng.sample(OTHER, 5)
        rng.shuffle(words)
        about = "|".join(word for word in ("cast", "plot") if word in words)
        praise = sum(word in GOOD for word in words)
        stars = "" if place % 6 == 5 else 1 + praise + len(about) / 10
        label = "good" if place % 2 else "bad"
        rows.append([" ".join(words), split, label, about, praise, 3 - praise, stars])
    file = folder / "reviews.csv"
    with file.open("w", newline="", encoding="utf-8") as table:
        columns = ["text", "split", "label", "about", "praise", "blame", STARS]
        csv.writer(table).writerows([columns, *rows])
    return file


TEXT_OBJECTIVES = {
    "classes": "classification",
    "about": {"about": "multilabel"},
    "values": Regression(columns=("praise", "blame")),
    "tasks": {"label": "classification", STARS: "regression"},
}

NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in ("about", "values")))
    for name in TEXT_OBJECTIVES
]
"""The rows as parameters; the ordinary suite trains a single objective and two."""


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    """A function that gives the run of a row of ``TEXT_OBJECTIVES``, trained once."""

    def train(name, work):
        recipe = FineTune(
            data=str(write_table(work)),
            input=Text(length=12, vocabulary_size=80),
            objective=TEXT_OBJECTIVES[name],
            backbone="transformer_tiny",
            weights="none",
            batch_size=8,
            stages=(Stage("all", epochs=4, unfreeze="all", learning_rate=3e-3),),
            # Each of several objectives alone would be another training.
            baselines=("none",) if name == "tasks" else (),
        )
        recipe.run(name=name, out=work / f"text_{name}")

    @cache
    def run(name="classes"):
        return run_once(tmp_path_factory, f"text_{name}", partial(train, name))

    return run


@pytest.fixture(scope="session")
def text_export(text_run, tmp_path_factory):
    """A function that gives the export of a row of ``TEXT_OBJECTIVES``, written once."""

    @cache
    def export(name="classes", form="saved_model", quantize="none"):
        limits = {} if quantize == "none" else {"max_changed": 1.0, "max_difference": 10.0}
        settings = {"format": form, "quantize": quantize, **limits}
        folder = "_".join(("text", name, form, quantize))
        return export_once(tmp_path_factory, text_run(name), folder, **settings)

    return export
