"""Fixtures: finished runs of several labels, of values and of two outputs, and their exports."""

import csv

import numpy as np
import pytest
from PIL import Image

import keras_transfer
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
    work = tmp_path_factory.mktemp("objectives")
    table, done = paint_table(work), {}

    def train(name):
        recipe = FineTune(
            data=str(table),
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
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KT_CACHE_DIR", str(work / "cache"))
            return recipe.run(name=name, out=work / name)

    def run(name):
        if name not in done:
            done[name] = train(name)
        return done[name]

    return run


@pytest.fixture(scope="session")
def objective_export(objective_run, tmp_path_factory):
    """A function that gives the export of a row of ``OBJECTIVES``, written once.

    A network of four epochs cannot be quantized well: any difference will do there.
    """
    folder, done = tmp_path_factory.mktemp("objective_exports"), {}

    def export(name, form="saved_model", quantize="none"):
        limits = {} if quantize == "none" else {"max_changed": 1.0, "max_difference": 10.0}
        if (name, form, quantize) not in done:
            done[name, form, quantize] = keras_transfer.export(
                objective_run(name), folder, format=form, quantize=quantize, **limits
            )
        return done[name, form, quantize]

    return export
