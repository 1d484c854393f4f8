"""What a client sends as an image, judged before anything is decoded."""

from __future__ import annotations

from keras_transfer.inputs.images import image_checks, tiff
from keras_transfer.serving.errors import RequestError

__all__ = ["check_image"]


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
        reason = f" ({error})" if isinstance(error, ValueError) else ""
        raise RequestError("INVALID_ARGUMENT", f"The TIFF cannot be read{reason}") from None
