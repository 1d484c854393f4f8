"""Examples that are given to ``predict``: files, images in memory, texts, or tables of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.data.files import Files
from keras_transfer.data.listing import expanded
from keras_transfer.data.pixels import Pixels, as_images
from keras_transfer.data.texts import Texts, read_column

__all__ = ["store_of"]


def store_of(given: Sequence[Any], *, column: str) -> tuple[list[str], Any]:
    """Names of examples, and the store that reads them.

    Args:
        given: Paths of files, folders or patterns; or images as ``pixels.as_images`` takes them;
            or texts, and ``Path`` objects of tables of texts.
        column: Name of the column of texts in these tables; "" where the examples are images.

    Returns:
        A name for each example: its path, its place such as "[0]", the text itself, or file and
        line of a text in a table, such as "reviews.csv:12".

    Raises:
        BadData: A path is empty, an array is no image, or a table cannot be read.
    """
    if column:
        tables = [_texts(one, column) for one in given]
        named = [name for names, _ in tables for name in names]
        return named, Texts([text for _, texts in tables for text in texts])
    if (pixels := as_images(given)) is not None:
        return [f"[{number}]" for number in range(len(pixels))], Pixels(pixels)
    files = expanded(given)
    return files, Files(files)


def _texts(given: Any, column: str) -> tuple[list[str], list[str]]:
    """Names and texts of a table, or of a single text."""
    if isinstance(given, Path):
        return read_column(given, column)
    return [str(given)], [str(given)]
