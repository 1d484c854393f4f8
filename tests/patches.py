"""A task whose class is decided by a patch at a place that is known, and a network for it."""

import numpy as np
import pytest
from PIL import Image

from keras_transfer import Classify, Head, Split, Stage

SIZE, SIDE = 32, 8
COLOURS = {"blue": (20, 20, 250), "red": (250, 20, 20)}


def patched(rng, name):
    """Grey noise with a patch of a colour: pixels, and the patch's row and column."""
    pixels = rng.integers(90, 160, (SIZE, SIZE, 1)).repeat(3, axis=2)
    row, column = rng.integers(0, SIZE - SIDE + 1, 2)
    pixels[row : row + SIDE, column : column + SIDE] = COLOURS[name]
    return pixels.astype("uint8"), row, column


def paint_patches(folder, each=24):
    """Class folders of such images."""
    rng = np.random.default_rng(0)
    for name in COLOURS:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(patched(rng, name)[0]).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def patch_run(tmp_path_factory):
    """A run that tells red patches from blue ones."""
    work = tmp_path_factory.mktemp("patches")
    recipe = Classify(
        data=str(paint_patches(work / "images")),
        backbone="convnet_small",
        weights="none",
        image_size=SIZE,
        batch_size=8,
        split=Split(val=0.2, test=0.2),
        head=Head(pooling="avg"),
        stages=(Stage("all", epochs=6, unfreeze="all", learning_rate=3e-3),),
        baselines=("none",),
        engine="keras",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(work / "cache"))
        return recipe.run(name="patches", out=work / "run")
