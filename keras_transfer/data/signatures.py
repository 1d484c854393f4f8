"""File type by the first bytes, independent of the name."""

import re

__all__ = ["IMAGE_SUFFIXES", "START", "image_format"]

START = 256
"""So many bytes of a file are enough to recognise it."""

IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"),
    *(".png", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ico", ".psd", ".tga"),
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx"),
    *(".dcm", ".dicom", ".pbm", ".pgm", ".ppm", ".pnm"),
    *(".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"),
}
"""Suffixes (lower case) that promise an image, of formats that can be read and of others."""

_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{4}\0\0\0\0",  # size, and two fields that are 0: "BM" alone begins texts too
    "WebP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "HEIC": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "AVIF": rb".{4}ftypavi",
    "CR3": rb".{4}ftypcrx",
    "JPEG XL": rb"\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "PSD": rb"8BPS",
    "DICOM": rb".{128}DICM",
}


def image_format(start: bytes) -> str:
    """Name the image format of a file; empty for anything but an image.

    Args:
        start: The first ``START`` bytes of the file, or all of it.
    """
    fits = (name for name, sign in _SIGNATURES.items() if re.match(sign, start, re.DOTALL))
    return next(fits, "")
