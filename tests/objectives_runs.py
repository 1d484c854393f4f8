"""Fixtures: finished runs of several labels, of values and of two outputs, and their exports."""

import csv
from functools import cache, partial

import numpy as np
import pytest
from made_once import export_once, run_once
from PIL import Image

from keras_transfer import FineTune, Head, Stage
from keras_transfer.objectives.regression import Regression

SPLITS = 12 * ["train"] + 5 * ["val"] + 7 * ["test"]
PRICE = "price-in.eur"
"""Name of an output that is no name of a tensor."""


def paint_table(folder):
    """24 images of coloured noise, and a table that says what is in them.

    The columns: ``label`` (of red, blue and bright those that are there), ``redness`` and
    ``blueness`` (what was added to a channel), ``colour``, and a price with empty cells.
    """
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for place, split in enumerate(SPLITS):
        red, blue, bright = place % 2, place // 2 % 2, place // 4 % 2
        pixels = rng.integers(0, 60, (20, 24, 3)) + 60 * bright
        pixels[..., 0] += 120 * red
        pixels[..., 2] += 120 * blue
        name = f"images/{place}.png"
        Image.fromarray(pixels.astype("uint8")).save(folder / name)
        there = zip(("red", "blue", "bright"), (red, blue, bright), strict=True)
        labels = "|".join(label for label, is_there in there if is_there)
        colour = "violet" if red and blue else "red" if red else "blue" if blue else "grey"
        price = "" if place % 6 == 5 else 1000 + 500 * bright + 20 * red
        rows.append([name, split, labels, 100 + 50 * red, 7 * blue - 3, colour, price])
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        columns = ["path", "split", "label", "redness", "blueness", "colour", PRICE]
        csv.writer(file).writerows([columns, *rows])
    return folder / "table.csv"


OBJECTIVES = {
    "labels": "multilabel",
    "values": Regression(columns=("redness", "blueness")),
    "tasks": {"colour": "classification", PRICE: "regression"},
}


@pytest.fixture(scope="session")
def objective_run(tmp_path_factory):
    """A function that gives the run of a row of ``OBJECTIVES``, trained once."""

    def train(name, work):
        recipe = FineTune(
            data=str(paint_table(work)),
            objective=OBJECTIVES[name],
            backbone="convnet_small",
            weights="none",
            image_size=16,
            batch_size=4,
            head=Head(pooling="avg"),
            stages=(Stage("all", epochs=4, unfreeze="all", learning_rate=2e-3),),
            cache=False,
            baselines=("none",),  # the plain models of several outputs take a training each
        )
        recipe.run(name=name, out=work / name)

    return cache(lambda name: run_once(tmp_path_factory, name, partial(train, name)))


@pytest.fixture(scope="session")
def objective_export(objective_run, tmp_path_factory):
    """A function that gives the export of a row of ``OBJECTIVES``, written once.

    A network of four epochs cannot be quantized well: any difference will do there.
    """

    @cache
    def export(name, form="saved_model", quantize="none"):
        limits = {} if quantize == "none" else {"max_changed": 1.0, "max_difference": 10.0}
        settings = {"format": form, "quantize": quantize, **limits}
        folder = "_".join((name, form, quantize))
        return export_once(tmp_path_factory, objective_run(name), folder, **settings)

    return export
