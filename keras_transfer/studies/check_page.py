"""``check.html``: the examples that a check of data has found, to be looked at."""

from __future__ import annotations

import logging
from pathlib import Path

from keras_transfer.data import sources
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.reports.writing import check_installed, write_page
from keras_transfer.workflows.finetune import FineTune
from keras_transfer.workflows.label_check import FILE, LabelCheck
from keras_transfer.workflows.twin_check import GROUPS, TwinCheck

__all__ = ["PAGE", "write_check"]

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
SORTS = (
    ("conflicts", "Twins with different labels", CONFLICTS),
    ("across", "Twins in two splits", ACROSS),
    ("within", "Twins in one split", WITHIN),
)

logger = logging.getLogger("keras_transfer")


def write_check(
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
    from keras_transfer.reports.study import StudyPage, render_study

    texts = bool(recipe.input.text_columns)
    sections = [*_label_sections(samples, labels, texts), *_twin_sections(samples, pairs, texts)]
    verdict = [*_label_verdict(labels), *_twin_verdict(pairs)] or ["Nothing was looked for."]
    page = StudyPage(
        "Check of data",
        "What to look at in the data",
        sources.describe(recipe.data.source),
        verdict if sections else [*verdict, "Nothing was found."],
        not sections,
        _commands(path.parent, recipe, labels, pairs),
        [*_label_tiles(labels), *_twin_tiles(pairs)],
        sections,
    )
    write_page(path, render_study(page))


def _label_verdict(checked: LabelCheck | None) -> list[str]:
    if checked is None:
        return []
    found = checked.document
    return [
        f"{found['suspects']:,} of {found['examples']:,} labels are probably wrong, by a "
        f"classifier that agrees with {found['agreement']:.1%} of the labels that it has not seen: "
        "the lower that is, the more of the list are its own mistakes."
    ]


def _twin_verdict(checked: TwinCheck | None) -> list[str]:
    if checked is None:
        return []
    found = checked.document
    of, validated = (found["examples_by_split"][split] for split in ("test", "val"))
    n, in_val = found["test_with_twin_in_train"], found["val_with_twin_in_train"]
    if n:
        said = [f"{n:,} of {of:,} test examples have a twin in train, which flatters a model."]
    elif found["across_splits"]:
        said = [
            f"{found['across_splits']:,} pairs of twins lie in two splits, none of them between "
            "test and train."
        ]
    else:
        return [f"None of {of:,} test examples has a twin in train."]
    if in_val:
        said.append(
            f"{in_val:,} of {validated:,} val examples have a twin in train, which flatters what "
            "is chosen by val."
        )
    return said


def _label_tiles(checked: LabelCheck | None) -> list:
    from keras_transfer.reports.study import Tile

    if checked is None:
        return []
    found = checked.document
    agreement = Tile(f"{found['agreement']:.1%}", "agreement", "of classifier and labels")
    return [
        Tile(f"{found['suspects']:,}", "likely label errors", f"of {found['examples']:,} examples"),
        agreement,
    ]


def _twin_tiles(checked: TwinCheck | None) -> list:
    from keras_transfer.reports.study import Tile

    if checked is None:
        return []
    found = checked.document
    of = f"of {found['examples_by_split']['test']:,}"
    return [
        Tile(f"{found['pairs']:,}", "pairs of twins", f"cosine {found['threshold']:.3f} or more"),
        Tile(f"{found['test_with_twin_in_train']:,}", "test examples with a twin in train", of),
    ]


def _commands(
    folder: Path, recipe: FineTune, labels: LabelCheck | None, pairs: TwinCheck | None
) -> list:
    from keras_transfer.reports.commands import Command, command

    words, made = ("run", "RECIPE", "--data", recipe.data.source), []
    if labels is not None and labels.document["suspects"]:
        purpose = f"Delete the rows of {FILE} whose label is right, then train with the others"
        made.append(Command(purpose, command(*words, "--relabel", folder / FILE)))
    if pairs is not None and pairs.document["across_splits"]:
        purpose = "Keep twins in one split, where the splits are drawn"
        made.append(Command(purpose, command(*words, "--groups", folder / GROUPS)))
    return made


def _label_sections(samples: Samples, checked: LabelCheck | None, texts: bool) -> list:
    from keras_transfer.reports.contact_sheet import Finding, contact_sheet

    if checked is None or not len(checked.found.rows):
        return []
    places = {key: place for place, key in enumerate(samples.keys)}
    findings = [
        Finding((places[key],), f"{new}?", (f"label: {label}", f"{split}, probability {share}"))
        for _, key, split, label, new, share, _ in checked.rows()
    ]
    return [contact_sheet("labels", "Likely label errors", LABELS, findings, samples, texts)]


def _twin_sections(samples: Samples, checked: TwinCheck | None, texts: bool) -> list:
    from keras_transfer.reports.contact_sheet import Finding, contact_sheet

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
    masks = (conflicting, across & ~conflicting, ~across & ~conflicting)
    return [
        contact_sheet(*sort, [findings[place] for place in where.nonzero()[0]], samples, texts)
        for sort, where in zip(SORTS, masks, strict=True)
        if where.any()
    ]
