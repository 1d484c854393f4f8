"""Fixtures: a run that labels the words of sentences of a tiny world, and its exports.

Persons and cities have random names, and the names of the test split occur in no other: what they
are shows in their context alone. ``python tests/tokens_runs.py DIR 8`` writes 8 times as many.
"""

import random
import sys
from pathlib import Path

import pytest
from made_once import export_once, run_once

from keras_transfer import FineTune, Stage

TEMPLATES = ("P lives in C .", "P of C met P .", "the mayor of C is P", "from C came P , today .")
SIZES = {"train": 240, "dev": 40, "test": 60}


def name_of(rng):
    """A name such as Kaborin, of three syllables."""
    syllables = [rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3)]
    return "".join(syllables).capitalize()


def sentence(rng):
    """Words and labels; persons have one or two words, a city may be called St. Xyz."""
    words = []
    for word in rng.choice(TEMPLATES).split():
        if word not in "PC":
            words.append((word, "O"))
            continue
        kind = "PER" if word == "P" else "LOC"
        title = [[], ["St."]][kind == "LOC" and rng.random() < 0.3]
        names = [*title, *(name_of(rng) for _ in range(1 + (kind == "PER" and rng.random() < 0.5)))]
        words += [(name, f"{'I' if place else 'B'}-{kind}") for place, name in enumerate(names)]
    return words


def write_conll(folder, times=1):
    """Files as of CoNLL-2003: -DOCSTART-, four columns, blank lines."""
    folder.mkdir(exist_ok=True)
    for seed, (name, count) in enumerate(SIZES.items()):
        rng = random.Random(seed)
        lines = ["-DOCSTART- -X- -X- O", ""]
        for _ in range(count * times):
            lines += [f"{word} NN I-NP {label}" for word, label in sentence(rng)] + [""]
        (folder / f"{name}.txt").write_text("\n".join(lines), "utf-8")
    return folder


def token_recipe(data, **more):
    settings = {
        "data": str(data),
        "input": {"type": "text", "length": 40, "vocabulary_size": 90},
        "objective": "tokens",
        "backbone": "transformer_tiny",
        "weights": "none",
        "batch_size": 16,
        "monitor": "val_f1",
        "stages": (Stage("all", epochs=10, unfreeze="all", learning_rate=5e-3),),
    }
    return FineTune(**{**settings, **more})


@pytest.fixture(scope="session")
def token_run(tmp_path_factory):
    def train(work):
        token_recipe(write_conll(work / "data")).run(name="tokens", out=work / "tokens")

    return run_once(tmp_path_factory, "tokens", train)


@pytest.fixture(scope="session")
def token_export(token_run, tmp_path_factory):
    """The SavedModel of the run."""
    return export_once(tmp_path_factory, token_run, "tokens_export")


if __name__ == "__main__":
    write_conll(Path(sys.argv[1]), int(sys.argv[2]))
