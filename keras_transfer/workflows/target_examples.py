"""The examples of the target domain that a run adapts to."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from keras_transfer.cache import cache_dir
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.inputs.base import Input
from keras_transfer.methods.adaptation import Adaptation
from keras_transfer.workflows.domain_target import (
    Drawn,
    check_target,
    draw,
    read_training_target,
)

__all__ = ["TargetExamples", "check_method", "target_examples"]

LEAST = 2
"""Examples that a domain needs, so that they vary."""

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class TargetExamples:
    """Target examples of a run: valid ones, no copies, and none that the source has too.

    Attributes:
        samples: With the source's classes.
        labelled: Whether the labels mean something.
        learnt: (n,) bool: whose labels are learnt from; they are not evaluated.
    """

    samples: Samples
    labelled: bool
    learnt: np.ndarray

    @property
    def evaluated(self) -> Samples:
        """Those that metrics are of, if there are labels."""
        return self.samples.take(~self.learnt)


def check_method(method: Adaptation) -> None:
    """Refuse a target that is not named or not there, before anything is read.

    Raises:
        BadConfiguration: None is named.
        BadData: It does not exist.
    """
    if method.target_data is None:
        raise BadConfiguration(
            f"method = {method.type} needs examples of the target domain. Name them: --set "
            "method.target_data=DIR. Their labels are not used."
        )
    check_target(method.target_data)


def target_examples(
    method: Adaptation, source: Samples, given: Input, *, keep: tuple[str, ...] | None, seed: int
) -> TargetExamples:
    """Read the target of a method; all of its splits are used.

    Args:
        method: Names the target.
        source: All examples of the source, with digests.
        given: The input; it checks the examples.
        keep: Setting ``data.classes``, which holds for the target too.
        seed: Draws the examples whose labels are learnt from.

    Raises:
        BadData: It cannot be read, has a class that the source lacks, or too few examples.
    """
    check_method(method)
    target = read_training_target(
        method.target_data, source.classes, text=given.text_column, keep=keep or ()
    )
    known = {*source.digests.astype(str)} - {""}
    everything = len(target.samples)
    drawn = draw(target.samples, everything, seed, given.judge, cache=cache_dir(), known=known)
    _report(method, drawn, target.labelled)
    learnt = _learnt(method, drawn.samples, target.labelled, seed)
    return TargetExamples(drawn.samples, target.labelled, learnt)


def _report(method: Adaptation, drawn: Drawn, labelled: bool) -> None:
    bad = int((drawn.reasons != "").sum())
    left = f"{bad} cannot be used, {drawn.known} are of the source, {drawn.copies} are copies"
    if len(drawn.samples) < LEAST:
        raise BadData(
            f"{len(drawn.samples)} of {len(drawn.read)} target examples of {method.target_data} "
            f"are left, and {method.type} needs {LEAST} at least: {left}. Give others."
        )
    logger.info(
        "Target %s: %s examples, %s labels; left out: %s",
        *(method.target_data, f"{len(drawn.samples):,}", "with" if labelled else "without", left),
    )


def _learnt(method: Adaptation, samples: Samples, labelled: bool, seed: int) -> np.ndarray:
    """(n,) bool: the examples whose labels are learnt from, as many of each class."""
    wanted, learnt = method.target_labels, np.zeros(len(samples), bool)
    if not wanted:
        return learnt
    if not labelled:
        raise BadData(f"target_labels = {wanted}, and {method.target_data} has no labels.")
    few = [
        f"{name} ({count:,})"
        for name, count in zip(samples.classes, samples.counts(), strict=True)
        if count <= wanted
    ]
    if few:
        raise BadData(
            f"target_labels = {wanted} learns from {wanted} target examples of each class, and "
            "the others are evaluated. Some classes have too few; use a smaller number:",
            few,
        )
    # By the keys, so that the order of the table has no influence.
    order = np.argsort(samples.keys, kind="stable")
    drawn = order[np.random.default_rng([seed, *b"target"]).permutation(len(order))]
    for label in range(len(samples.classes)):
        learnt[drawn[samples.labels[drawn] == label][:wanted]] = True
    return learnt
