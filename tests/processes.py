"""The command in processes of its own, and a small recipe with images for it."""

import os
import subprocess
import sys

import numpy as np
from PIL import Image

KT = [sys.executable, "-c", "from keras_transfer.cli import main; main(prog_name='kt-recipe')"]

TINY = '''"""A network so small that a test can train it."""
from keras_transfer import Classify, Head, Split, Stage

recipe = Classify(
    data="images",
    backbone="convnet_small",
    weights="none",
    image_size=16,
    batch_size=8,
    split=Split(val=0.25, test=0.25),
    head=Head(pooling="avg", dropout=0.2),
    stages=(Stage("head", epochs=2), Stage("all", epochs=2, unfreeze="all", learning_rate=1e-3)),
)
run = recipe.run
'''

HEAD = ["--set", "stages=[{name: head, epochs: 1}]"]
"""Options of ``kt run tiny.py`` where one short stage is enough."""


def kt(*words, cwd, check=None, **env):
    done = subprocess.run(
        [*KT, *map(str, words)], cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}
    )
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


COLOURS = {"red": 0, "green": 1, "blue": 2}


def paint(folder, **counts):
    """Noise of a colour a class, that a tiny network can tell apart; 12 blue, 12 red by default."""
    rng = np.random.default_rng(0)
    for name, n in (counts or {"blue": 12, "red": 12}).items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 120, (20, 24, 3))
            pixels[..., COLOURS[name]] += 130
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{i}.png")
