"""Texts of refusals: of bounded length, with little of the input, and without local paths."""

from __future__ import annotations

import json
import re

__all__ = ["MAX_ECHO", "MAX_TEXT", "bounded", "echo", "foreign", "shown"]

MAX_TEXT = 500
"""Characters of a text that is sent to a client."""

MAX_ECHO = 100
"""Characters of a client's input that a text repeats."""

# Absolute, of at least two parts: neither "1/2" nor "tensorflow/serving" nor an address.
_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/'\",:;()\[\]]+/)+([^\s/'\",:;()\[\]]*)")


def shown(value: object) -> str:
    """A value of a request as JSON, cut off after ``MAX_ECHO`` characters."""
    text = ""
    # In pieces: a value of 30 MB, or one that is nested deeply, is not laid out in full.
    for piece in json.JSONEncoder(default=str).iterencode(value):
        text += piece[: MAX_ECHO + 1]
        if len(text) > MAX_ECHO:
            return f"{text[:MAX_ECHO]}..."
    return text


def bounded(text: str, most: int = MAX_TEXT) -> str:
    """A text cut off after ``most`` characters, with what cannot be encoded replaced."""
    cut = text if len(text) <= most else f"{text[:most]}..."
    return cut.encode("utf-8", "replace").decode()


def echo(text: str) -> str:
    """A word of a request, cut off after ``MAX_ECHO`` characters."""
    return bounded(text, MAX_ECHO)


def foreign(text: object) -> str:
    """What another library says: on one line, with only the last part of local paths."""
    return bounded(_PATH.sub(r".../\1", " ".join(str(text).split())))
