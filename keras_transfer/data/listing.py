"""List a folder: its folders and images, with counts of ignored entries."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from keras_transfer.data.regular_files import regular
from keras_transfer.data.signatures import IMAGE_SUFFIXES, START, image_format
from keras_transfer.errors import BadData

__all__ = [
    "Ignored",
    "Listing",
    "counted",
    "expanded",
    "identity",
    "images_below",
    "list_folder",
    "outline",
]

logger = logging.getLogger("keras_transfer")

SYSTEM_FOLDERS = frozenset(
    {
        "@eadir",  # thumbnails of Synology
        "@__thumb",  # of QNAP
        "_cache",
        "_thumbs",
        "_thumbnails",
        "__macosx",  # from zip archives made on a Mac
        "__pycache__",
        "#recycle",
        "@recycle",
        "$recycle.bin",
        "#snapshot",
        "@recently-snapshot",
        "system volume information",
        "lost+found",
    }
)
"""Names (lower case) of folders that programs make; images in them are copies of others."""


class Ignored(NamedTuple):
    """Entries that a listing ignored.

    Attributes:
        files: Numbers of the files that are no images, by suffix.
        folders: Numbers of the folders that programs make, by name.
    """

    files: Counter[str]
    folders: Counter[str]

    @classmethod
    def nothing(cls) -> Ignored:
        """An empty record, to be added to."""
        return cls(Counter(), Counter())

    def add(self, other: Ignored) -> None:
        """Add the numbers of another record to this one."""
        self.files.update(other.files)
        self.folders.update(other.folders)

    def warn(self, where: str) -> None:
        """Log what was ignored in the folder ``where``, if anything was."""
        if self.files:
            logger.warning("Ignored files in %s that are no images: %s", where, counted(self.files))
        if self.folders:
            names = counted(self.folders)
            logger.warning(
                "Ignored folders in %s that programs make, such as of thumbnails: %s", where, names
            )


class Listing(NamedTuple):
    """The content of one folder, hidden names (``.name``) left out.

    Attributes:
        folders: Sorted names; symbolic links to folders are among them.
        images: Sorted names of the files that are images by suffix or by content, sound or not;
            broken links with an image's suffix too.
        ignored: Other entries.
    """

    folders: list[str]
    images: list[str]
    ignored: Ignored


def list_folder(folder: str) -> Listing:
    """List one folder, and nothing below it.

    A file without an image suffix is opened: it counts as an image if it begins like one
    (``photo``, ``photo.jpg?w=300``), or if it cannot be read, so that it is reported.

    Raises:
        BadData: The folder cannot be listed.
    """
    listing = Listing([], [], Ignored.nothing())
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _sort_in(entry, listing)
    except OSError as error:
        raise BadData(f"{folder} cannot be listed ({error.strerror}).") from error
    listing.folders.sort()
    listing.images.sort()
    return listing


def _sort_in(entry: os.DirEntry[str], listing: Listing) -> None:
    suffix = os.path.splitext(entry.name)[1].lower()
    if entry.name.startswith("."):
        return
    if entry.is_dir():
        if entry.name.lower() in SYSTEM_FOLDERS:
            listing.ignored.folders[entry.name] += 1
        else:
            listing.folders.append(entry.name)
    elif suffix in IMAGE_SUFFIXES or (entry.is_file() and _is_image(entry.path)):
        listing.images.append(entry.name)
    else:
        listing.ignored.files[suffix] += 1


def _is_image(path: str) -> bool:
    try:
        # Unbuffered: Python would read thousands of bytes ahead, of every file without a suffix.
        with open(path, "rb", buffering=0, opener=regular) as file:
            return image_format(file.read(START)) != ""
    except OSError:
        return True


def outline(folder: str) -> tuple[list[str], bool]:
    """Sorted names of the folders in a folder, and whether it also has an image.

    Faster than ``list_folder``: images are recognized by suffix only.

    Raises:
        BadData: The folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise BadData(f"{folder} cannot be listed ({error.strerror}).") from error
    folders = sorted(entry.name for entry in shown if entry.is_dir())
    images = any(os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES for entry in shown)
    return [name for name in folders if name.lower() not in SYSTEM_FOLDERS], images


def images_below(folder: str, seen: set[tuple[int, int]]) -> tuple[list[str], Ignored]:
    """Find the images in a folder and in all folders below it.

    Args:
        folder: Root of the search.
        seen: Identities of folders to skip; visited folders are added, so that cycles of symbolic
            links end.

    Returns:
        Paths of the images, and what was ignored.

    Raises:
        BadData: A folder cannot be listed.
    """
    paths: list[str] = []
    ignored = Ignored.nothing()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        listing = list_folder(current)
        paths += [f"{current}{os.sep}{name}" for name in listing.images]
        ignored.add(listing.ignored)
        for below in (os.path.join(current, name) for name in listing.folders):
            if (link := identity(below)) not in seen:
                seen.add(link)
                waiting.append(below)
    return paths, ignored


def identity(folder: str) -> tuple[int, int]:
    """Device and inode of a folder, equal for all symbolic links to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def counted(numbers: Counter[str]) -> str:
    """Say numbers by suffix or name in words, such as ``12 .txt, 1 without suffix``."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{n:,} {name or 'without suffix'}" for name, n in ordered[:10])


def expanded(paths: Sequence[str | Path]) -> list[str]:
    """Files, images in folders, and what glob patterns match, in order."""
    files: list[str] = []
    for path in map(str, paths):
        if not path:
            raise BadData("A path is empty; name files, folders or patterns.")
        # A file may be called photo[1].jpg.
        pattern = glob.has_magic(path) and not os.path.exists(path)
        matches = sorted(glob.glob(path, recursive=True)) if pattern else []
        # A path without images stays in the list, so that a row reports it.
        for match in matches or [path]:
            files += _images_below(match) or [match] if os.path.isdir(match) else [match]
    return files


def _images_below(folder: str) -> list[str]:
    images, ignored = images_below(folder, {identity(folder)})
    ignored.warn(folder)
    return sorted(images)
