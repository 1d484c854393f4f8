"""The folder of ``kt-recipe explain`` for texts: a table of words, and a page with colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from keras_transfer.atomic import write_bytes, write_csv, write_json
from keras_transfer.explanations.summary import Summary, summary_of
from keras_transfer.explanations.texts import TextExplainer, TextExplanation
from keras_transfer.reports.explanations import INDEX, PAGE, SHOWN, SUMMARY, document_of
from keras_transfer.reports.wording import short

__all__ = ["WORDS", "write_texts"]

WORDS = "words.csv"

HEADER = ("path", "error", "predicted", "explained", "score", "deletion", "random_deletion")
WORD_HEADER = ("text", "word", "start", "end", "score")


class Piece(NamedTuple):
    """A word, or what stands between two.

    Attributes:
        text: The characters.
        share: Of the largest score of its text, 0..1; None between words.
        against: Whether it speaks against what is explained.
        title: The score.
    """

    text: str
    share: float | None = None
    against: bool = False
    title: str = ""


class _Block(NamedTuple):
    """A text of the page."""

    path: str
    title: str
    lines: list[str]
    pieces: list[Piece]


def write_texts(
    folder: Path, explainer: TextExplainer, found: Iterable[TextExplanation], method: str
) -> tuple[Summary, list[TextExplanation]]:
    """Write explanations of texts.

    ``index.csv`` has a row for each text, ``words.csv`` one for each word: number of its text from
    1, the word, its first character and the one behind its last, and its score. ``index.html``
    shows up to 200 texts where Jinja is installed, and ``summary.json`` has the means.

    Args:
        folder: Is empty.
        explainer: What gives the explanations.
        found: They.
        method: Its name.

    Returns:
        The summary, and the explanations.
    """
    kept = [*found]
    summary = summary_of(method, kept, explainer.sanity)._replace(texts=True)
    write_csv(folder / INDEX, HEADER, map(_row, kept))
    words = [
        (number, word.text, word.start, word.end, f"{word.score:.6g}")
        for number, one in enumerate(kept, start=1)
        for word in one.words
    ]
    write_csv(folder / WORDS, WORD_HEADER, words)
    write_json(folder / SUMMARY, document_of(summary))
    if find_spec("jinja2") is not None:
        good = [one for one in kept if not one.error]
        _write_page(folder / PAGE, str(explainer.run.folder), summary, good[:SHOWN])
    return summary, kept


def _row(one: TextExplanation) -> list[str]:
    if one.error:
        return [one.path, one.error, *[""] * (len(HEADER) - 2)]
    areas = ["", ""] if one.deletion is None else [f"{area:.6g}" for area in one.deletion]
    return [one.path, "", one.predicted, one.explained, f"{one.score:.6g}", *areas]


def pieces(one: TextExplanation) -> list[Piece]:
    """The text in pieces: words with their scores, and what stands between them."""
    largest = max((abs(word.score) for word in one.words), default=0.0)
    found, at = [], 0
    for word in one.words:
        if word.start > at:
            found.append(Piece(one.text[at : word.start]))
        share = abs(word.score) / largest if largest else 0.0
        found.append(Piece(word.text, share, word.score < 0, f"{word.score:+.3f}"))
        at = word.end
    return [*found, *[Piece(one.text[at:])] * (at < len(one.text))]


def _block(one: TextExplanation) -> _Block:
    lines = [f"for {short(one.explained, 40)}: {one.score:.3g}"]
    if one.deletion is not None:
        lines.append("deletion {:.3f}, random {:.3f}".format(*one.deletion))
    best = sorted(one.words, key=lambda word: -abs(word.score))[:5]
    lines.append(", ".join(f"{short(word.text, 24)} {word.score:+.2f}" for word in best))
    if one.words and one.text[one.words[-1].end :].strip():
        lines.append(f"the model does not see what is behind “{short(one.words[-1].text, 24)}”")
    return _Block(one.path, short(one.predicted, 40), lines, pieces(one))


def _write_page(path: Path, run: str, summary: Summary, found: Sequence[TextExplanation]) -> None:
    from keras_transfer.reports.templates import environment

    page = (
        environment()
        .get_template("words.html")
        .render(run=run, summary=summary, blocks=[*map(_block, found)])
    )
    write_bytes(path, page.encode("utf-8", "backslashreplace"))
