"""Put images, and weights where a download would put them, for the commands of the README.

``photos`` holds cat/ and dog/, 24 images each: real ones where they are beside the checkout,
painted ones elsewhere. ``reviews.csv`` holds 60 short texts. The weights of MobileNetV2 are real
ones or random ones likewise; they are written in the layout, and under the name, of the file that
Keras would download.
"""

import csv
import os
import shutil
import sys
from pathlib import Path

from keras_transfer.quiet import import_tensorflow

import_tensorflow()

import h5py  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras.src.legacy.saving import legacy_h5_format  # noqa: E402
from PIL import Image  # noqa: E402

from keras_transfer.networks import imagenet  # noqa: E402

SHARED = Path(os.environ.get("KT_SHARED", "../shared"))
REAL_WEIGHTS = SHARED / "weights/mobilenet_v2_1.0_224_no_top.weights.h5"


def stage_photos(folder: Path) -> None:
    """Write the images."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        real = sorted((SHARED / "data/cats_dogs/train" / name).glob("*.jpg"))[:24]
        for path in real:
            shutil.copy(path, folder / name)
        for i in range(0 if real else 24):
            pixels = rng.integers(0, 100, (90, 120, 3)) + 130 * (np.arange(3) == number)
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{i}.jpg")


def stage_reviews(path: Path) -> None:
    """Write the texts: what is said of a film, and the label."""
    words = {"good": ("fine", "moving", "bright"), "bad": ("dull", "slow", "empty")}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for label, adjectives in words.items():
            for number in range(30):
                writer.writerow((f"take {number} is {adjectives[number % 3]}", label))


def stage_weights() -> None:
    """Write the weights."""
    network = keras.applications.MobileNetV2(include_top=False, weights=None)
    if REAL_WEIGHTS.is_file():
        network.load_weights(REAL_WEIGHTS)
    place = imagenet.where("mobilenet_v2")
    place.path.parent.mkdir(parents=True)

    with h5py.File(place.path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)


if __name__ == "__main__":
    stage_photos(Path(sys.argv[1]) / "photos")
    stage_reviews(Path(sys.argv[1]) / "reviews.csv")
    stage_weights()
