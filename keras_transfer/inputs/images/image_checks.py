"""What makes an image unusable, found from its bytes and said in a few words."""

import functools
import hashlib
import io
import os
import re
from collections.abc import Callable

import tensorflow as tf
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from keras_transfer.data.samples import CheckResult
from keras_transfer.inputs.images import decode

__all__ = ["MOST_PIXELS", "check"]

MOST_PIXELS = 89_478_485
"""More pixels than this are taken for a decompression bomb; Pillow's limit, a quarter of a GB."""

# The plugins themselves, not Image.open: that warns of large images through a global filter.
_HEADERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}

_SIGNS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM(?=.{,28}\0)",
    "WebP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II\*\0|MM\0\*",
    "HEIC": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "AVIF": rb".{4}ftypavi",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "PSD": rb"8BPS",
    "SVG": rb"(?i)\s*(<\?xml.{,200})?<svg",
    "PDF": rb"%PDF",
    "HTML": rb"(?i)\s*<(!doctype|html|head|body|\?xml)",
    "text": rb"[\t\n\f\r\x20-\x7e\x80-\xff]+\Z",
}
"""How the first bytes of a file look, by what it is; the first that fits holds."""

_OTHER_THAN_IMAGE = {
    "": "is no image of a known format",
    "HTML": "is HTML, not an image",
    "PDF": "is PDF, not an image",
    "text": "is text, not an image",
}


def check(content: bytes, name: str = "") -> CheckResult:
    """Digest an image's bytes, and say what is wrong with them.

    Args:
        content: The bytes of the file.
        name: Name of the file; its ending must not promise another format. A name without an
            ending, or with an unknown one, promises nothing.

    Returns:
        The SHA-256 of the bytes, and the reason why ``decode.image`` cannot read them or
        would read them wrongly; no reason where all is well.
    """
    return CheckResult(hashlib.sha256(content).hexdigest(), _reason(content, name))


def _reason(content: bytes, name: str) -> str:
    if not content:
        return "is empty (0 bytes)"
    found = _format(content[:256])
    ending = os.path.splitext(name)[1].lower()
    if found not in _HEADERS:
        return _OTHER_THAN_IMAGE.get(found, f"is {found}; convert it to JPEG or PNG")
    if found != decode.EXTENSIONS.get(ending, found):
        return f"is a {found} named {ending}; rename or convert it"
    try:
        header = _HEADERS[found](io.BytesIO(content))
    except Exception:  # whatever Pillow stumbles over in hostile bytes
        return f"is a truncated or damaged {found}"
    return _header_flaw(found, header, content) or _decoding_flaw(found, header, content)


def _format(start: bytes) -> str:
    fits = (name for name, sign in _SIGNS.items() if re.match(sign, start, re.DOTALL))
    return next(fits, "")


def _header_flaw(found: str, header: ImageFile.ImageFile, content: bytes) -> str:
    width, height = header.size
    if width * height > MOST_PIXELS:
        return f"has {width} x {height} pixels, over {MOST_PIXELS:,}; shrink it"
    if min(width, height) < 2:
        return f"has only {width} x {height} pixels"
    if header.mode == "CMYK":
        return "is CMYK; convert it to RGB"
    if found == "PNG" and content[24] == 16:  # bit depth in the IHDR chunk
        return "has 16 bits a channel; convert it to 8"
    if found == "BMP" and header.mode in ("1", "P"):  # TensorFlow takes indices for grey values
        return "is a BMP with a palette; convert it to PNG"
    return ""


def _decoding_flaw(found: str, header: ImageFile.ImageFile, content: bytes) -> str:
    try:
        _decoder()(content)
    except tf.errors.OpError:
        pass
    else:
        return ""
    try:
        header.load()
    except Exception:  # as above
        return f"is a truncated or damaged {found}"
    return f"is a {found} that TensorFlow {tf.__version__} cannot read; save it anew as PNG"


@functools.cache
def _decoder() -> Callable[[bytes], tf.Tensor]:
    return tf.function(decode.whole, input_signature=[tf.TensorSpec([], tf.string)])
