"""Fixtures: a finished run on images of all formats, and its export for TensorFlow Serving."""

import numpy as np
import pytest
from made_once import export_once, run_once
from PIL import Image
from processes import paint

from keras_transfer import Classify, Head, Split, Stage


def odd_ones(folder):
    """An image of each format that is served, of another shape than the network's."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    pixels = rng.integers(0, 256, (40, 60, 3), "uint8")
    held = Image.Exif()
    held[0x112] = 6  # the camera was turned: rows are columns
    Image.fromarray(pixels).save(folder / "turned.jpg", exif=held, quality=95)
    Image.fromarray(rng.integers(0, 256, (400, 300, 3), "uint8")).save(folder / "large.jpg")
    Image.fromarray(pixels[..., 0]).save(folder / "grey.png")
    Image.fromarray(np.dstack([pixels, pixels[..., 1]])).save(folder / "alpha.png")
    Image.fromarray(pixels).save(folder / "plain.bmp")
    Image.fromarray(pixels[..., 0]).save(folder / "first.gif")


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Trained to tell blue from red, 24 images each."""

    def train(work):
        paint(work / "images", blue=24, red=24)
        odd_ones(work / "odd")
        recipe = Classify(
            data=str(work / "images"),
            backbone="convnet_small",
            weights="none",
            image_size=16,
            resize="crop",
            split=Split(val=0.2, test=0.2),
            head=Head(pooling="avg"),
            stages=(Stage("all", epochs=3, unfreeze="all", learning_rate=1e-3),),
            cache=False,
        )
        recipe.run(name="colours", out=work / "colours")

    return run_once(tmp_path_factory, "colours", train)


@pytest.fixture(scope="session")
def odd(run):
    """Paths of one image of each format."""
    return sorted((run.folder.parent / "odd").iterdir())


@pytest.fixture(scope="session")
def saved(run, tmp_path_factory):
    """The run's export as SavedModel."""
    return export_once(tmp_path_factory, run, "models")
