"""``check.html``: the examples that a check of data has found, to be looked at."""

from __future__ import annotations

import logging
from pathlib import Path

from keras_transfer.data import sources
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.reports.writing import check_installed
from keras_transfer.workflows.finetune import FineTune
from keras_transfer.workflows.label_check import FILE, LabelCheck
from keras_transfer.workflows.twin_check import GROUPS, TwinCheck

__all__ = ["PAGE", "write_page"]

PAGE = "check.html"

LABELS = (
    "A classifier that has not seen the example is confident of another class. Bold: what it says. "
    f"Look at each, and delete the rows of {FILE} whose labels are right."
)
ACROSS = (
    "Metrics of a split with twins in train are too good: the model has all but seen these "
    f"examples. {GROUPS} keeps twins in one split (--groups), where the splits are drawn."
)
CONFLICTS = "One of the two labels is probably wrong."
WITHIN = "They say the same twice; intervals of metrics take them for independent."

logger = logging.getLogger("keras_transfer")


def write_page(
    path: Path,
    recipe: FineTune,
    samples: Samples,
    labels: LabelCheck | None,
    pairs: TwinCheck | None,
) -> None:
    """Write the page, or say why there is none.

    Args:
        path: The file.
        recipe: Of the check.
        samples: The examples whose features were computed.
        labels: Likely label errors of some of them, if they were looked for.
        pairs: Twins of them, if they were looked for.
    """
    try:
        check_installed()
    except BadConfiguration as error:
        logger.info("No %s: %s", path.name, error)
        return
    from keras_transfer.reports.contact_sheet import write_sheet

    sections = [*_label_sections(samples, labels), *_twin_sections(pairs)]
    write_sheet(
        path,
        samples,
        sections,
        title="What to look at in the data",
        data=sources.describe(recipe.data.source),
        sentences=() if sections else ("Nothing was found.",),
        texts=bool(recipe.input.text_columns),
    )


def _label_sections(samples: Samples, checked: LabelCheck | None) -> list:
    from keras_transfer.reports.contact_sheet import Finding, Section

    if checked is None or not len(checked.found.rows):
        return []
    places = {key: place for place, key in enumerate(samples.keys)}
    findings = [
        Finding((places[key],), f"{new}?", (f"label: {label}", f"{split}, probability {share}"))
        for _, key, split, label, new, share, _ in checked.rows()
    ]
    return [Section("Likely label errors", LABELS, findings)]


def _twin_sections(checked: TwinCheck | None) -> list:
    from keras_transfer.reports.contact_sheet import Finding, Section

    if checked is None:
        return []
    findings = [
        Finding(
            (int(one), int(other)),
            f"cosine {cosine}",
            (f"{split} {label}", f"{twin_split} {twin_label}"),
        )
        for one, other, (cosine, _, split, label, _, twin_split, twin_label) in zip(
            checked.pairs.first, checked.pairs.second, checked.rows(), strict=True
        )
    ]
    across, conflicting = checked.across, checked.conflicting
    sorts = (
        ("Twins with different labels", CONFLICTS, conflicting),
        ("Twins in two splits", ACROSS, across & ~conflicting),
        ("Twins in one split", WITHIN, ~across & ~conflicting),
    )
    return [
        Section(title, note, [findings[place] for place in where.nonzero()[0]])
        for title, note, where in sorts
        if where.any()
    ]
