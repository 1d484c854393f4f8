"""File type by the first bytes, independent of the name."""

import re
from collections.abc import Mapping

__all__ = ["IMAGE_SUFFIXES", "RAW_SUFFIXES", "START", "file_format", "image_format"]

START = 256
"""So many bytes of a file are enough to recognise it."""

RAW_SUFFIXES = {
    *(".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef"),
    *(".srw", ".3fr", ".erf", ".kdc", ".dcr", ".iiq", ".rwl"),
}
"""Suffixes (lower case) of camera raw files; many of them are TIFFs by their first bytes."""

IMAGE_SUFFIXES = RAW_SUFFIXES | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"),
    *(".png", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ico", ".psd", ".tga"),
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx"),
    *(".dcm", ".dicom", ".pbm", ".pgm", ".ppm", ".pnm"),
}
"""Suffixes (lower case) that promise an image, of formats that can be read and of others."""

_IMAGES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM(?=.{,28}\0)",  # "BM" alone begins texts too, but they have no zero
    "WebP": rb"RIFF.{4}WEBP",
    "camera raw": rb"II\*\0.{4}CR|II(U\0|RO|RS)|MMOR|FUJIFILMCCD-RAW|.{4}ftypcrx",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "HEIC": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "AVIF": rb".{4}ftypavi",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "DICOM": rb".{128}DICM",
    "PSD": rb"8BPS",
}
_OTHERS = {
    "SVG": rb"(?i)\s*(<\?xml.{,200})?<svg",
    "PDF": rb"%PDF",
    "HTML": rb"(?i)\s*<(!doctype|html|head|body|\?xml)",
    "text": rb"[\t\n\f\r\x20-\x7e\x80-\xff]+\Z",
}
"""First bytes of a file by format; the first match counts."""


def file_format(content: bytes) -> str:
    """Name the format of a file by its first bytes; empty if it is unknown.

    Args:
        content: The first ``START`` bytes of the file, or more.
    """
    return _first(_IMAGES | _OTHERS, content)


def image_format(content: bytes) -> str:
    """Name the image format of a file; empty for anything but an image.

    Args:
        content: As for ``file_format``.
    """
    return _first(_IMAGES, content)


def _first(signatures: Mapping[str, bytes], content: bytes) -> str:
    start = content[:START]
    fits = (name for name, sign in signatures.items() if re.match(sign, start, re.DOTALL))
    return next(fits, "")
