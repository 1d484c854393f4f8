"""What lies in a folder: folders, images, and the rest, which is counted."""

from __future__ import annotations

import os
from collections import Counter
from typing import NamedTuple

from keras_transfer.errors import BadData
from keras_transfer.inputs.images.decode import EXTENSIONS

__all__ = ["Listing", "counted", "identity", "images_below", "list_folder"]


class Listing(NamedTuple):
    """The content of one folder, hidden names (``.name``) left out.

    Attributes:
        folders: Sorted names; symbolic links to folders are among them.
        images: Sorted names of the files with an image's ending, broken links too.
        others: Numbers of the other files by ending.
    """

    folders: list[str]
    images: list[str]
    others: Counter[str]


def list_folder(folder: str) -> Listing:
    """List one folder, and nothing below it.

    Raises:
        BadData: The folder cannot be listed.
    """
    found = Listing([], [], Counter())
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                ending = os.path.splitext(entry.name)[1].lower()
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    found.folders.append(entry.name)
                elif ending in EXTENSIONS:
                    found.images.append(entry.name)
                else:
                    found.others[ending] += 1
    except OSError as error:
        raise BadData(f"{folder} cannot be listed ({error.strerror}).") from error
    found.folders.sort()
    found.images.sort()
    return found


def images_below(folder: str, seen: set[tuple[int, int]]) -> tuple[list[str], Counter[str]]:
    """Find the images in a folder and in all folders below it.

    Args:
        folder: Where to begin.
        seen: Identities of folders not to go into; those gone into are added, so that symbolic
            links end somewhere.

    Returns:
        Paths of the images, and the numbers of other files by ending.

    Raises:
        BadData: A folder cannot be listed.
    """
    paths: list[str] = []
    others: Counter[str] = Counter()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        found = list_folder(here)
        paths += [f"{here}{os.sep}{name}" for name in found.images]
        others += found.others
        for below in (os.path.join(here, name) for name in found.folders):
            if (own := identity(below)) not in seen:
                seen.add(own)
                waiting.append(below)
    return paths, others


def identity(folder: str) -> tuple[int, int]:
    """What a folder has in common with all symbolic links to it: device and inode."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def counted(others: Counter[str]) -> str:
    """Say numbers by ending in words, such as ``12 .txt, 1 without ending``."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{n:,} {name or 'without ending'}" for name, n in ordered[:10])
