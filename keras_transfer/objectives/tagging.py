"""Labels of words that mark entities: IOB2, and other schemes converted to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from keras_transfer.data.tags import TAG
from keras_transfer.errors import BadData

__all__ = ["OUTSIDE", "names_of", "to_iob2", "types_of"]

logger = logging.getLogger("keras_transfer")

OUTSIDE = "O"
"""Label of words outside of entities."""

_BIOES = str.maketrans("SEUL", "BIBI")
_Tags = Sequence[str]


def _iob2(before: str, tag: str) -> bool:
    """An entity begins by B-; I- continues one of its type."""
    return tag[0] != "I" or (before[0] in "BI" and before[2:] == tag[2:])


def _iob1(before: str, tag: str) -> bool:
    """An entity begins by I-, and by B- only directly behind another of its type."""
    return tag[0] != "B" or (before[0] in "BI" and before[2:] == tag[2:])


def _bioes(before: str, tag: str) -> bool:
    """Entities of several words are B-, I-, ..., E- (or L-), those of one are S- (or U-)."""
    within = before[0] in "BI"
    if tag[0] in "IEL":
        return within and before[2:] == tag[2:]
    return not within


def _follows(sentences: Iterable[_Tags], rule: Callable[[str, str], bool]) -> list[int]:
    """Numbers of the sentences that break a rule for neighbours."""
    return [
        number
        for number, tags in enumerate(sentences)
        if not all(rule(*pair) for pair in pairwise([OUTSIDE, *tags, OUTSIDE]))
    ]


def to_iob2(sentences: Sequence[_Tags], keys: Sequence[str]) -> list[list[str]]:
    """Labels as IOB2: B- begins each entity, I- continues it.

    IOB1 (I- begins an entity, unless it comes directly behind one of its type) and BIOES or BILOU
    are recognised by all sentences together, and converted.

    Args:
        sentences: Labels of the words of each sentence.
        keys: Names of the sentences in messages.

    Raises:
        BadData: A label is none of an entity, or the labels follow none of the schemes; lists the
            sentences.
    """
    wrong = [
        f"{key}: {tag!r}"
        for key, tags in zip(keys, sentences, strict=True)
        for tag in tags
        if not TAG.fullmatch(tag)
    ]
    if wrong:
        raise BadData("Labels of words should be O, B-TYPE or I-TYPE, e.g. B-PER; found:", wrong)
    prefixes = {tag[0] for tags in sentences for tag in tags}
    if prefixes & {"E", "S", "L", "U"}:
        return _from_bioes(sentences, keys, "".join(sorted(prefixes)))
    broken = _follows(sentences, _iob2)
    if not broken:
        return [[*tags] for tags in sentences]
    others = _follows(sentences, _iob1)
    if not others:
        logger.info("The labels are IOB1: an entity begins by I-. They are read as IOB2")
        return [_from_iob1(tags) for tags in sentences]
    # The nearer scheme is what was meant.
    name, rows = ("IOB2", broken) if len(broken) <= len(others) else ("IOB1", others)
    cure = "B-TYPE begins an entity, I-TYPE continues one of the same type"
    raise _refused(f"{name} ({cure})" if name == "IOB2" else name, rows, sentences, keys)


def _from_bioes(sentences: Sequence[_Tags], keys: Sequence[str], used: str) -> list[list[str]]:
    # E and S belong to BIOES, L and U to BILOU.
    mixed = set(used) & set("ES") and set(used) & set("LU")
    broken = [*range(len(sentences))] if mixed else _follows(sentences, _bioes)
    if broken:
        name = "BIOES" if set(used) & set("ES") else "BILOU"
        raise _refused(name, broken, sentences, keys)
    logger.info("The labels are %s; they are read as IOB2", used)
    return [[tag[0].translate(_BIOES) + tag[1:] for tag in tags] for tags in sentences]


def _from_iob1(tags: _Tags) -> list[str]:
    return [
        f"B-{tag[2:]}" if tag[0] == "I" and (before == OUTSIDE or before[2:] != tag[2:]) else tag
        for before, tag in pairwise([OUTSIDE, *tags])
    ]


def _refused(
    name: str, rows: Sequence[int], sentences: Sequence[_Tags], keys: Sequence[str]
) -> BadData:
    shown = [f"{keys[row]}: {' '.join(sentences[row])[:100]}" for row in rows]
    return BadData(
        f"The labels of {len(rows):,} of {len(sentences):,} sentences are not {name}. Mend them; "
        "IOB2, IOB1, BIOES and BILOU are read:",
        shown,
    )


def types_of(names: Iterable[str]) -> tuple[str, ...]:
    """The types of entities among labels, by name."""
    return tuple(sorted({name[2:] for name in names} - {""}))


def names_of(types: Sequence[str]) -> tuple[str, ...]:
    """The labels of some types: O, and B- and I- of each."""
    return (OUTSIDE, *(f"{place}-{kind}" for kind in types for place in "BI"))
