"""Where a network that labels words fails: entities that it misses, adds, or marks otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_transfer.evaluation.entities import Entity, entities_of
from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.reports.gallery import Entry, Gallery, preview
from keras_transfer.reports.study import Group
from keras_transfer.reports.wording import Table, short, table

__all__ = ["EntityMistakes", "Mistake", "entity_mistakes"]

SHOWN = 24
"""Texts that are shown, those with most mistakes first."""
MAX_LINES = 6
SORTS = ("missed", "other type", "other words", "extra")
"""No entity is said to be there; one of another type is; one of other words; one that is none."""


class Mistake(NamedTuple):
    """An entity of which the network is wrong.

    Attributes:
        sort: One of ``SORTS``.
        true: What is there; None for an extra one.
        said: What the network says; None for one that it misses.
    """

    sort: str
    true: Entity | None
    said: Entity | None


class EntityMistakes(NamedTuple):
    """The mistakes of a test split.

    Attributes:
        predicted: Labels of the words.
        found: Mistakes by the place of their text; texts without are not among them.
        types: Names of the types of entities.
    """

    predicted: Predicted
    found: dict[int, list[Mistake]]
    types: Sequence[str]

    def counts(self) -> Table:
        """Mistakes by type of the true entity, of extra ones by the predicted type."""
        cells: Counter[tuple[int, str]] = Counter()
        for mistakes in self.found.values():
            for one in mistakes:
                entity = one.true or one.said
                assert entity is not None
                cells[entity.type, one.sort] += 1
        rows = [
            [short(name), *(f"{cells[number, sort]:,}" for sort in SORTS)]
            for number, name in enumerate(self.types)
        ]
        return table(["type", *SORTS], rows)

    def group(self, gallery: Gallery) -> Group:
        """Texts with mistakes, those with most first."""
        order = sorted(self.found, key=lambda place: -len(self.found[place]))
        entries = [self._entry(place, gallery) for place in order[:SHOWN]]
        cut = f"; the {len(entries)} with most are shown" if len(entries) < len(order) else ""
        note = (
            f"{len(self.found):,} of {len(self.predicted.keys):,} test texts have a mistake{cut}. "
            "Look for wrong labels first."
        )
        return Group("Texts with mistakes", note, entries)

    def _entry(self, place: int, gallery: Gallery) -> Entry:
        key, mistakes = str(self.predicted.keys[place]), self.found[place]
        raw = gallery.examples.raw(key)
        words = raw.decode("utf-8", "replace").split() if isinstance(raw, bytes) else []
        if len(words) != int((self.predicted.true[place] >= 0).sum()):
            words = []  # they are not known one by one
        lines = [self._line(one, words) for one in mistakes[:MAX_LINES]]
        if len(mistakes) > MAX_LINES:
            lines.append(f"and {len(mistakes) - MAX_LINES} more")
        title = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        return Entry([preview(raw, True)], title, lines, [short(key, 90)], tone="wrong")

    def _line(self, one: Mistake, words: Sequence[str]) -> str:
        if one.said is None:
            return f"missed: {self._named(one.true, words)}"
        if one.true is None:
            return f"extra: {self._named(one.said, words)}"
        return f"{self._named(one.true, words)} taken for {self._named(one.said, words)}"

    def _named(self, entity: Entity | None, words: Sequence[str]) -> str:
        assert entity is not None
        shown = " ".join(words[entity.start : entity.end + 1])
        shown = shown or f"words {entity.start + 1} to {entity.end + 1}"
        return f"{short(self.types[entity.type], 20)} “{short(shown, 40)}”"


def entity_mistakes(predicted: Predicted) -> EntityMistakes:
    """Compare the entities of each text with those that the network says.

    Args:
        predicted: Labels of words, as ``Objective.read_predictions`` gives them.
    """
    found = {}
    for place, (true, decided) in enumerate(zip(predicted.true, predicted.decided, strict=True)):
        words = true >= 0
        if mistakes := _compared(entities_of(true[words]), entities_of(decided[words])):
            found[place] = mistakes
    # O, B and I of the first type, B and I of the second.
    types = [name.split("-", 1)[-1] for name in predicted.names[1::2]]
    return EntityMistakes(predicted, found, types)


def _compared(true: list[Entity], said: list[Entity]) -> list[Mistake]:
    """Mistakes in the order of the true entities, then the extra ones."""
    wrong = [one for one in said if one not in true]
    found = []
    for entity in (one for one in true if one not in said):
        near = [one for one in wrong if one.start <= entity.end and entity.start <= one.end]
        if not near:
            found.append(Mistake("missed", entity, None))
            continue
        # The one that shares most words.
        shared = [min(one.end, entity.end) - max(one.start, entity.start) for one in near]
        best = near[int(np.argmax(shared))]
        same = (best.start, best.end) == (entity.start, entity.end)
        found.append(Mistake("other type" if same else "other words", entity, best))
    named = [one.said for one in found]
    return found + [Mistake("extra", None, one) for one in wrong if one not in named]
