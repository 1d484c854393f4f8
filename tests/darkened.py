"""A target domain: images of another folder as another camera would have them."""

import numpy as np
from PIL import Image

__all__ = ["darken"]


def darken(folder, source, labelled=True):
    """The images of a folder, darker and with noise of their own."""
    rng = np.random.default_rng(1)
    for number, path in enumerate(sorted(source.glob("*/*.png"))):
        pixels = np.asarray(Image.open(path), float) * 0.5 + rng.integers(0, 40, (20, 24, 3))
        home = folder / path.parent.name if labelled else folder
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype("uint8")).save(home / f"{number}.png")
