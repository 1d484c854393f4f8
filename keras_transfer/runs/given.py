"""Examples that are given to ``predict``: files, images, texts or pairs of them, or tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.data.files import Files
from keras_transfer.data.listing import expanded
from keras_transfer.data.pixels import Pixels, as_images
from keras_transfer.data.texts import Text, Texts, read_columns
from keras_transfer.errors import BadData

__all__ = ["store_of"]


def store_of(given: Sequence[Any], *, columns: Sequence[str]) -> tuple[list[str], Any]:
    """Names of examples, and the store that reads them.

    Args:
        given: Paths of files, folders or patterns; or images as ``pixels.as_images`` takes them;
            or texts, or tuples of two texts, and ``Path`` objects of tables of texts.
        columns: Names of the columns of texts in these tables; none where the examples are images.

    Returns:
        A name for each example: its path, its place such as "[0]", the text itself ("a | b" of a
        pair), or file and line of a text in a table, such as "reviews.csv:12".

    Raises:
        BadData: A path is empty, an array is no image, a single text is given where pairs are
            needed or the other way round, or a table cannot be read.
    """
    if columns:
        tables = [_texts(one, columns) for one in given]
        named = [name for names, _ in tables for name in names]
        return named, Texts([text for _, texts in tables for text in texts])
    if (pixels := as_images(given)) is not None:
        return [f"[{number}]" for number in range(len(pixels))], Pixels(pixels)
    files = expanded(given)
    return files, Files(files)


def _texts(given: Any, columns: Sequence[str]) -> tuple[Sequence[str], Sequence[Text]]:
    """Names and texts of a table, or of a single text or pair."""
    if isinstance(given, Path):
        return read_columns(given, columns)
    if len(columns) == 1:
        if isinstance(given, tuple | list):
            raise BadData(f"The model takes single texts; found the pair {given!r:.80}.")
        return [str(given)], [str(given)]
    if isinstance(given, str) or len(given) != len(columns):
        raise BadData(
            f"The model takes pairs of texts; found {given!r:.80}. Give a .csv or .tsv file with "
            f"the columns {' and '.join(columns)}; in Python also tuples of two texts."
        )
    pair = tuple(map(str, given))
    return [" | ".join(pair)], [pair]
