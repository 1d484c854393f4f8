"""The command as tests run it, and a small recipe with images for it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from warm import WarmProcess

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


_warm = WarmProcess()


def kt(*words, cwd, check=None, **env):
    """Run the command in a forked child of a process that has imported TensorFlow."""
    return warm_python(KT[2], *words, cwd=cwd, check=check, **env)


def kt_process(*words, cwd, check=None, **env):
    """Run the command in a process of its own, for what is about importing, starting or ending."""
    words = [*KT, *map(str, words)]
    done = subprocess.run(words, cwd=cwd, capture_output=True, env={**os.environ, **env})
    return _checked(done, check)


def warm_python(code, *words, cwd, check=None, **env):
    """Run code as ``kt`` runs the command."""
    words = [*map(str, words)]
    with tempfile.TemporaryDirectory() as folder:
        returned = _warm.run(code, words, cwd, {**os.environ, **env}, folder)
        told = [Path(folder, name).read_bytes() for name in ("stdout", "stderr")]
    return _checked(subprocess.CompletedProcess(words, returned, *told), check)


def _checked(done, check):
    """Decode what was printed. ``text=True`` would also make a line end of a carriage return."""
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
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
