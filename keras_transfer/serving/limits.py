"""What a client sends as an image or a text, judged before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from keras_transfer.data.signatures import file_format
from keras_transfer.inputs.images import headers, image_checks, tiff
from keras_transfer.inputs.images.bound import IMAGE_BYTES
from keras_transfer.inputs.text import TEXT, Text
from keras_transfer.inputs.text_pair import PAIR
from keras_transfer.serving.errors import RequestError

__all__ = [
    "CHECKS",
    "COSTS",
    "Limits",
    "check_image",
    "check_text",
    "image_pixels",
    "undecodable",
]


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        body: Most bytes of a request.
        bodies: Most bytes of all requests that are being read or answered.
        pixels: Most pixels of an image.
        request_pixels: Most pixels of all images of a request.
        queue_pixels: Most pixels of the images of all requests that wait or are answered.
        text: Most bytes of a text.
        seconds: How long an answer may take.
    """

    body: int = 32 << 20
    bodies: int = 128 << 20
    pixels: int = image_checks.MAX_PIXELS
    request_pixels: int = 4 * image_checks.MAX_PIXELS
    queue_pixels: int = 8 * image_checks.MAX_PIXELS
    text: int = 100_000
    seconds: float = 30.0


def check_image(content: bytes, max_pixels: int) -> bytes:
    """Refuse what training would leave out, and what would cost too much memory.

    Args:
        content: The encoded image.
        max_pixels: Pixels that the decoder may hold; of a GIF, those of all its frames.

    Returns:
        Bytes that an exported model can decode: the same ones, but of a TIFF those of a BMP.

    Raises:
        RequestError: It has more, is no image, or would be read wrongly.
    """
    flaw = image_checks.flaw(content, max_pixels=max_pixels)
    if flaw:
        raise RequestError("INVALID_ARGUMENT", f"The file {flaw}")
    try:
        return tiff.readable(content)
    except Exception as error:  # whatever Pillow makes of broken bytes
        flaw = image_checks.tiff_flaw(error)
        raise RequestError("INVALID_ARGUMENT", f"The file {flaw}") from None


def undecodable(inputs: Mapping[str, np.ndarray]) -> str:
    """Why a model failed at an image: the reason that training gives, or nothing.

    Only now, because to decode each image twice would cost all clients what one has to know.

    Args:
        inputs: What the model was asked.
    """
    contents = (one for name, array in inputs.items() for one in _images(name, array))
    reasons = (image_checks.check(content).reason for content in contents)
    return next((f"The file {reason}" for reason in reasons if reason), "")


def _images(name: str, array: np.ndarray) -> Iterator[bytes]:
    """Images that have passed ``check_image``, alone or in strings of ``tf.train.Example``."""
    if name == IMAGE_BYTES:
        yield from array.ravel()
    elif array.dtype == object and name not in CHECKS:
        for content in array.ravel():
            with suppress(DecodeError):
                features = tf.train.Example.FromString(content).features.feature
                yield from features[IMAGE_BYTES].bytes_list.value


def image_pixels(content: bytes, max_pixels: int) -> int:
    """Pixels that will be decoded; 0 for what ``check_image`` refuses by its header."""
    try:
        found = headers.read_header(content).pixels
    except ValueError:
        return 0
    return found if found <= max_pixels else 0


def check_text(content: bytes, max_bytes: int) -> bytes:
    """Refuse what training would leave out, and what would cost too much memory.

    Args:
        content: The text in UTF-8.
        max_bytes: Bytes that it may have.

    Returns:
        The same bytes.

    Raises:
        RequestError: It has more, is not UTF-8, or has no words.
    """
    if len(content) > max_bytes:
        raise RequestError(
            "INVALID_ARGUMENT",
            f"The text has {len(content):,} bytes, over {max_bytes:,}. Send a shorter one",
        )
    if reason := Text().judge(content).reason:
        file = file_format(content)
        found = "" if file in ("", "text") or "UTF-8" not in reason else f". It is a {file} file"
        raise RequestError("INVALID_ARGUMENT", f"The text {reason}{found}")
    return content


Check = Callable[[bytes, Limits], bytes]

CHECKS: Mapping[str, Check] = {
    IMAGE_BYTES: lambda content, limits: check_image(content, limits.pixels),
    **dict.fromkeys((TEXT, *PAIR), lambda content, limits: check_text(content, limits.text)),
}
"""By the name of an input or feature: what its strings must pass; they come back as served."""

COSTS: Mapping[str, Callable[[bytes, Limits], int]] = {
    IMAGE_BYTES: lambda content, limits: image_pixels(content, limits.pixels),
    **dict.fromkeys((TEXT, *PAIR), lambda content, limits: 0),
}
"""By the same names: the pixels that each string will be decoded to."""
