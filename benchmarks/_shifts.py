"""Photos of cats and dogs, and the same two classes made worse: a source and its shifted targets.

No photo of the source is one of the targets': the source has the first 200 training images of each
class, and val and test of cats_dogs; the targets are made of the other 500 training images.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

__all__ = ["CLASSES", "SHARED", "SHIFTS", "source_photos", "target_photos", "write_target"]

SHARED = Path(os.environ.get("KT_SHARED", "../shared"))
TRAINED = 200
CLASSES = ("cat", "dog")


def source_photos() -> dict[str, dict[str, list[Path]]]:
    """Files of the source by split ("train", "val", "test") and class."""
    photos = {split: _photos(split) for split in ("train", "val", "test")}
    photos["train"] = {name: files[:TRAINED] for name, files in photos["train"].items()}
    return photos


def target_photos() -> dict[str, list[Path]]:
    """Files by class of which the targets are made."""
    return {name: files[TRAINED:] for name, files in _photos("train").items()}


def _photos(split):
    folder = SHARED / "data/cats_dogs" / split
    return {name: sorted((folder / name).iterdir()) for name in CLASSES}


def _resized(image, rng):
    for size in (224, 200, 224):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return image


def _inverted(image, rng):
    return ImageOps.invert(image)


def _blurred(image, rng):
    return image.filter(ImageFilter.GaussianBlur(0.02 * min(image.size)))


def _night(image, rng):
    dark = 0.25 * np.asarray(image, float)
    return Image.fromarray((dark + rng.normal(0, 12, dark.shape)).clip(0, 255).astype("uint8"))


def _edges(image, rng):
    return image.filter(ImageFilter.FIND_EDGES)


def _jpeg(image, rng):
    return image  # its quality is in WRITTEN


SHIFTS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "resized": _resized,
    "inverted": _inverted,
    "blurred": _blurred,
    "night": _night,
    "edges": _edges,
    "jpeg": _jpeg,
}
"""What is done to an RGB image; a model of photos loses nothing that is clear on "resized"."""

WRITTEN = {"resized": (".png", {}), "jpeg": (".jpg", {"quality": 5})}
"""How images are written that are no JPEG files of quality 95."""


def write_target(
    folder: Path, images: Mapping[str, Iterable[Path]], shift: str, seed: int = 0
) -> Path:
    """Write changed images into folders of classes.

    Args:
        folder: A new folder.
        images: Files by class; the files of a class have different names without suffix.
        shift: One of ``SHIFTS``.
        seed: Of the noise; another one for each of several parts of a target.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(seed)
    suffix, options = WRITTEN.get(shift, (".jpg", {"quality": 95}))
    for name, files in images.items():
        (folder / name).mkdir(parents=True)
        for path in files:
            with Image.open(path) as image:
                changed = SHIFTS[shift](image.convert("RGB"), rng)
            changed.save(folder / name / f"{path.stem}{suffix}", **options)
    return folder
