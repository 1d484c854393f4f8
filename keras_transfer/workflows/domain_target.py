"""Examples of the place where a model is to work, with labels or without."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data import sources
from keras_transfer.data.files import Files
from keras_transfer.data.listing import expanded, outline
from keras_transfer.data.samples import LABEL, Judge, Samples
from keras_transfer.data.signatures import IMAGE_SUFFIXES
from keras_transfer.data.table_files import column_names
from keras_transfer.data.texts import has_labels
from keras_transfer.errors import BadData, UnknownName

__all__ = ["Drawn", "Target", "draw", "holds_labels", "places", "read_target"]

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")

logger = logging.getLogger("keras_transfer")


class Target(NamedTuple):
    """Target examples.

    Attributes:
        samples: With the source's classes; all labels are 0 where there are none.
        labelled: Whether the labels mean something.
    """

    samples: Samples
    labelled: bool


def read_target(
    data: Any,
    classes: Sequence[str],
    *,
    texts: Sequence[str] = (),
    keep: Sequence[str] = (),
    unlabelled: bool = False,
    data_dir: Path | None = None,
    cures: str = "Leave them out by --classes {common}; or compare all examples without labels by "
    "--unlabelled, for example where the folders are no classes:",
) -> Target:
    """Read the target; nothing is computed or decoded yet.

    Without labels are a folder of images without class folders, a pattern such as ``new/*.jpg``,
    and a table without a column ``label``; everything else is read as data to train on are.

    Args:
        data: As ``sources.read`` takes it, or one of the above.
        classes: The source's.
        texts: Names of the columns of texts; none: the examples are images.
        keep: Target classes to compare; others are left out. None named: all.
        unlabelled: Read no labels, also where there are some.
        data_dir: Where prepared data sets of tensorflow-datasets lie.
        cures: What to do about classes that the source lacks, after "{common}" is filled in.

    Raises:
        BadData: The data cannot be read, or have classes that the source lacks.
        UnknownName: ``keep`` has a name that is no class of the target.
    """
    if unlabelled or not holds_labels(data, texts):
        if keep:
            raise BadData("--classes chooses by labels, and the target is read without labels.")
        samples = _without_labels(data, classes, texts)
        return Target(
            replace(samples, classes=tuple(classes), labels=np.zeros(len(samples), "int32")), False
        )
    samples = sources.read(data, data_dir, known=classes, texts=texts)
    return Target(_in_order(_kept(samples, keep), classes, cures), True)


def holds_labels(data: Any, texts: Sequence[str], label: str = LABEL) -> bool:
    """Whether data have labels, as ``read_target`` finds out.

    Args:
        data: As for ``read_target``.
        texts: As for ``read_target``.
        label: Column of the labels in a table.
    """
    if not isinstance(data, str | Path):
        return True
    path = Path(data).expanduser()
    if path.is_dir():
        return bool(texts) or bool(outline(str(path))[0])
    if path.suffix.lower() in TABLES and path.is_file():
        return has_labels(path, texts, label) if texts else label in column_names(path)
    return not _names_images(data)


def _names_images(data: Any) -> bool:
    """Whether it is a folder, an image file, or a pattern that matches something."""
    path = Path(data).expanduser()
    pattern = glob.has_magic(str(path)) and not os.path.exists(path)
    image = path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    return path.is_dir() or image or (pattern and bool(glob.glob(str(path), recursive=True)))


def _without_labels(data: Any, classes: Sequence[str], texts: Sequence[str]) -> Samples:
    is_path = isinstance(data, str | Path)
    if is_path and (texts or Path(data).suffix.lower() in TABLES):
        # The column of the examples itself stands for that of the labels.
        return sources.read(data, columns=texts[:1] or ("path",), texts=texts)
    if is_path and _names_images(data):
        files = expanded([Path(data).expanduser()])
        return Samples.of(Files(files), [""], files, [0] * len(files))
    return sources.read(data, known=classes)


def _kept(samples: Samples, keep: Sequence[str]) -> Samples:
    for name in keep:
        if name not in samples.classes:
            raise UnknownName("class of the target", name, samples.classes)
    if not keep:
        return samples
    places = [samples.classes.index(name) for name in keep]
    return samples.take(np.isin(samples.labels, places))


def _in_order(samples: Samples, classes: Sequence[str], cures: str) -> Samples:
    """The same examples, with the source's class order."""
    present = np.flatnonzero(samples.counts())
    unknown = [place for place in present if samples.classes[place] not in classes]
    if unknown:
        names = [samples.classes[place] for place in present]
        common = ",".join(name for name in names if name in classes)
        known = ", ".join([*classes[:10], "..."][: len(classes)])
        cure = cures.format(common=common or "(none is in both)")
        raise BadData(
            f"The target has classes that the source ({known}) lacks; a model of it "
            f"is wrong on all of their examples. {cure}",
            [f"{samples.classes[place]} ({samples.counts()[place]:,})" for place in unknown],
        )
    number = {name: place for place, name in enumerate(classes)}
    places = np.array([number.get(name, -1) for name in samples.classes], "int32")
    return replace(samples, classes=tuple(classes), labels=places[samples.labels])


class Drawn(NamedTuple):
    """Examples that are compared.

    Attributes:
        samples: Valid ones with digests, no two of them copies.
        read: The examples that were drawn, of which ``samples`` are left.
        reasons: (n,) object array of str: why one of ``read`` cannot be used; "" where it can.
        known: Number of those that were left out because the source has them too.
        copies: Number of those that were left out as copies of another one.
    """

    samples: Samples
    read: Samples
    reasons: np.ndarray
    known: int = 0
    copies: int = 0


def draw(
    samples: Samples,
    size: int,
    seed: int,
    judge: Judge,
    *,
    cache: Path | None = None,
    known: Collection[str] = (),
) -> Drawn:
    """Draw examples at random, and leave out those that cannot be used or are no news.

    Args:
        samples: The examples; their order has no influence.
        size: How many to draw; all if there are fewer.
        seed: Of the draw.
        judge: Says whether an example can be used.
        cache: Folder of the scan cache.
        known: Digests of examples that are left out.

    Raises:
        BadData: None can be used, or none of a class.
    """
    from keras_transfer.data.scan import drop_invalid, scan

    read = samples.take(places(samples, size, seed))
    found = scan(read, judge, cache)
    if len(read) and (found.reasons != "").all():
        pairs = zip(read.keys, found.reasons, strict=True)
        raise BadData(
            f"None of {len(read):,} target examples can be used:",
            [f"{key}: {reason}" for key, reason in pairs],
        )
    valid = drop_invalid(read, found, "skip")
    fresh = ~np.isin(valid.digests.astype(str), [*known])
    news = valid.take(fresh)
    first = np.sort(np.unique(news.digests.astype(str), return_index=True)[1])
    distinct = news.take(first)
    return Drawn(distinct, read, found.reasons, int((~fresh).sum()), len(news) - len(distinct))


def places(samples: Samples, size: int, seed: int) -> np.ndarray:
    """Sorted places of ``size`` examples drawn at random, whatever the order of the table."""
    order = np.argsort(samples.keys, kind="stable")
    rng = np.random.default_rng([seed, *b"domains"])
    return np.sort(order[rng.permutation(len(order))[:size]])
