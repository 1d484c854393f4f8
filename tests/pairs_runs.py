"""Fixtures: a finished run on pairs of texts, as GLUE's MRPC has them, and its exports."""

import random
from functools import cache

import pytest
from made_once import export_once, run_once

from keras_transfer import Classify, Data, Stage, TextPair

SPLITS = 40 * ["train"] + 12 * ["val"] + 12 * ["test"]
WORDS = ("good", "lovely", "bright", "tender", "bad", "dull", "noisy", "cold", "film", "plot")
COLUMNS = {"column": "#1 String", "second_column": "#2 String"}
PAIRS = [("good film", "film good"), ("a DULL plot", "lovely, bright"), ('"noisy" cast', "it is")]


def write_pairs(folder):
    """64 pairs: of the label 1 both have the same words. A table like those of GLUE."""
    rng = random.Random(0)
    rows = []
    for place, split in enumerate(SPLITS):
        first = rng.sample(WORDS, 3)
        second = first if place % 2 else rng.sample([*set(WORDS) - {*first}], 3)
        # One quote: GLUE's tables have quotes that mean nothing.
        cells = [place % 2, place, -place, '"' * (place == 3) + " ".join(first)]
        rows.append([*cells, " ".join(sorted(second)), split])
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String", "split"]
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    file = folder / "pairs.tsv"
    file.write_text("\ufeff" + "\r\n".join(lines), "utf-8")
    return file


def pair_recipe(table, **more):
    settings = {
        "data": Data(str(table), label_column="Quality"),
        "input": TextPair(length=14, vocabulary_size=80, **COLUMNS),
        "backbone": "transformer_tiny",
        "weights": "none",
        "batch_size": 8,
        "stages": (Stage("all", epochs=3, unfreeze="all", learning_rate=3e-3),),
    }
    return Classify(**{**settings, **more})


@pytest.fixture(scope="session")
def pair_run(tmp_path_factory):
    def train(work):
        pair_recipe(write_pairs(work)).run(name="pairs", out=work / "pairs")

    return run_once(tmp_path_factory, "pairs", train)


@pytest.fixture(scope="session")
def pair_export(pair_run, tmp_path_factory):
    """A function that gives the export in a format, written once."""

    @cache
    def export(form="saved_model"):
        return export_once(tmp_path_factory, pair_run, f"pairs_{form}", format=form)

    return export
