"""The target domain of a run: its examples, and which of their labels are used."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_transfer import seeds
from keras_transfer.atomic import write_csv
from keras_transfer.cache import cache_dir
from keras_transfer.csv_cells import read_cells
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.inputs.base import Input
from keras_transfer.methods.adaptation import Adaptation
from keras_transfer.workflows.domain_target import Target, draw, read_target

__all__ = ["TARGET_TABLE", "TargetDomain", "check_domain", "read_domain"]

logger = logging.getLogger("keras_transfer")

TARGET_TABLE = "target.csv"
"""Name of the file of a run that lists the target's examples."""

CURES = "Leave them out, or add them to the source; in both are: {common}."


@dataclass(frozen=True, eq=False)
class TargetDomain:
    """Valid examples of the target, no two of them copies, none of them in the source.

    Attributes:
        samples: With the source's classes; all labels are 0 where there are none.
        known: Whether the labels mean something.
        labelled: (k,) places of the examples whose labels are used.
    """

    samples: Samples
    known: bool
    labelled: np.ndarray

    @property
    def judged(self) -> Samples:
        """The examples whose labels are not used."""
        return self.samples.take(np.setdiff1d(np.arange(len(self.samples)), self.labelled))


def check_domain(
    method: Adaptation, classes: Sequence[str], given: Input, data_dir: str | None
) -> None:
    """Refuse a target that cannot be used, before anything is trained.

    Its examples are checked as ``read_domain`` does it, which finds the results in the cache.

    Args:
        method: Names the target.
        classes: The source's.
        given: The input; it checks the examples.
        data_dir: Folder of prepared TFDS data sets.

    Raises:
        BadData: The target cannot be read, has classes that the source lacks, or too few labels.
    """
    target = _read(method, classes, given, data_dir)
    drawn = draw(target.samples, len(target.samples), 0, given.judge, cache=cache_dir())
    _check_enough(method, drawn.samples, target.labelled)


def read_domain(
    method: Adaptation,
    source: Samples,
    given: Input,
    data_dir: str | None,
    *,
    seed: int,
    folder: Path,
) -> TargetDomain:
    """Read the target, check every example, and choose those with labels.

    Args:
        method: Names the target.
        source: All splits of the source; examples that are there too are left out.
        given: The input; it checks the examples.
        data_dir: Folder of prepared TFDS data sets.
        seed: The recipe's; it draws the examples with labels.
        folder: The run directory; it gets ``TARGET_TABLE``.

    Raises:
        BadData: The target cannot be read, has classes that the source lacks, or too few labels; or
            it is not the one that the run began with.
    """
    target = _read(method, source.classes, given, data_dir)
    digests = set(source.digests.tolist())
    drawn = draw(
        target.samples, len(target.samples), seed, given.judge, cache=cache_dir(), known=digests
    )
    samples, bad = drawn.samples, int((drawn.reasons != "").sum())
    logger.info(
        "Target domain: %s examples of %s%s; left out: %s that cannot be used, %s copies, %s that "
        "the source has too",
        *(len(samples), method.target_data, "" if target.labelled else ", without labels"),
        *(bad, drawn.copies, drawn.known),
    )
    if len(samples) < 2:
        raise BadData(f"The target {method.target_data} has {len(samples)} examples of its own.")
    labelled = np.arange(0)
    _check_enough(method, samples, target.labelled)
    if method.target_labels:
        labelled = _labelled(method.target_labels, samples, seeds.stream(seed, "split"))
    domain = TargetDomain(samples, target.labelled, labelled)
    _write(folder / TARGET_TABLE, domain)
    return domain


def _read(method: Adaptation, classes: Sequence[str], given: Input, data_dir: str | None) -> Target:
    where = Path(data_dir) if data_dir else None
    texts = given.text_columns
    return read_target(method.target_data, classes, texts=texts, data_dir=where, cures=CURES)


def _write(path: Path, domain: TargetDomain) -> None:
    """Write path, use, label if it is used, and digest of each target example.

    Raises:
        BadData: The file holds another table: the target has changed since the run began.
    """
    use = np.full(len(domain.samples), "unlabelled", object)
    use[domain.labelled] = "labelled"
    labels = np.full(len(domain.samples), "", object)
    labels[domain.labelled] = np.asarray(domain.samples.classes, object)[
        domain.samples.labels[domain.labelled]
    ]
    columns = domain.samples.keys, use, labels, domain.samples.digests
    rows = [[*row] for row in zip(*columns, strict=True)]
    if path.exists():
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            _, *found = read_cells(file)
        if found != rows:
            raise BadData(
                f"The target is not the one that the run in {path.parent} began with (see {path}); "
                "put it back, or start a new run without --resume."
            )
    write_csv(path, ("path", "use", "label", "digest"), rows, lineterminator="\r\n")


def _check_enough(method: Adaptation, samples: Samples, known: bool) -> None:
    """Refuse a number of labels that the target does not have, or that leaves no examples."""
    each, setting = method.target_labels, f"target_labels = {method.target_labels}"
    if not each:
        return
    if not known:
        raise BadData(f"{setting}: the target {method.target_data} has no labels.")
    few = [
        f"{name}: {count}"
        for name, count in zip(samples.classes, samples.counts(), strict=True)
        if count < each
    ]
    if few:
        raise BadData(f"{setting}, and these classes have fewer target examples:", few)
    left = len(samples) - each * len(samples.classes)
    if left < 2:
        raise BadData(
            f"{setting} uses all {'but one of the ' if left else ''}target examples, and two or "
            "more others choose the model. Use fewer labels, or give more target examples."
        )


def _labelled(each: int, samples: Samples, seed: int) -> np.ndarray:
    """Sorted places of the first ``each`` examples of each class, in a drawn order."""
    order = np.random.default_rng([seed, *b"target"]).permutation(len(samples))
    by_class = [
        order[samples.labels[order] == label][:each] for label in range(len(samples.classes))
    ]
    return np.sort(np.concatenate(by_class))
