"""Examples that are given to ``predict``: files, images in memory, or texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_transfer.data.files import Files
from keras_transfer.data.listing import expanded
from keras_transfer.data.pixels import Pixels, as_images
from keras_transfer.data.texts import Texts

__all__ = ["store_of"]


def store_of(given: Sequence[Any], *, texts: bool) -> tuple[list[str], Any]:
    """Names of examples, and the store that reads them.

    Args:
        given: Paths of files, folders or patterns; or images as ``pixels.as_images`` takes them;
            or texts.
        texts: Whether they are texts.

    Returns:
        A name for each example: its path, its place such as "[0]", or the text itself.

    Raises:
        BadData: A path is empty, or an array is no image.
    """
    if texts:
        named = [str(text) for text in given]
        return named, Texts(named)
    if (pixels := as_images(given)) is not None:
        return [f"[{number}]" for number in range(len(pixels))], Pixels(pixels)
    files = expanded(given)
    return files, Files(files)
