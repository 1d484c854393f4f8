"""Examples as the page shows them: a small image or a text, with labels and confidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.reports.examples import Examples
from keras_transfer.reports.thumbnails import thumbnail
from keras_transfer.reports.wording import percent, short

__all__ = ["Card", "Entry", "Gallery", "preview"]

SIDE = 112
"""Longer side of a thumbnail in pixels."""
THREADS = 4
MAX_TEXT = 240
BETWEEN = " | "  # of a pair of texts


class Card(NamedTuple):
    """One example.

    Attributes:
        image: Data URI; empty for texts, and where the image cannot be shown.
        text: The text, if it is one.
        path: Its path in ``split.csv``.
        true: Name of its class.
        predicted: Name of the predicted class.
        confidence: Probability of that class, as text.
        right: Whether the prediction is right.
        heat: Data URI of the image with what the model looked at; empty where there is none.
    """

    image: str
    text: str
    path: str
    true: str
    predicted: str
    confidence: str
    right: bool
    heat: str = ""


class Entry(NamedTuple):
    """One example, or several, with anything that is said of them.

    Attributes:
        examples: Image, as a data URI, and text of each, as ``preview`` gives them.
        title: In a few words.
        lines: What else is known.
        paths: Of the examples, short.
        share: Length of a bar below the title, 0 to 1; None: there is none.
        tone: "right", "wrong" or empty: the colour of the rule above.
    """

    examples: Sequence[tuple[str, str]]
    title: str
    lines: Sequence[str] = ()
    paths: Sequence[str] = ()
    share: float | None = None
    tone: str = ""


class Gallery:
    """Makes cards; each example is read once.

    Args:
        examples: Reads them.
    """

    def __init__(self, examples: Examples):
        self.examples = examples
        self._shown: dict[str, tuple[str, str]] = {}

    def load(self, keys: Iterable[str]) -> None:
        """Read some examples, several at a time."""
        new = [key for key in dict.fromkeys(keys) if key not in self._shown]
        with ThreadPool(THREADS) as threads:
            for key, shown in zip(new, threads.imap(self._read, new, chunksize=8), strict=True):
                self._shown[key] = shown

    def cards(
        self,
        predicted: Predicted,
        places: Sequence[int] | np.ndarray,
        heat: Mapping[str, str] | None = None,
    ) -> list[Card]:
        """Cards of examples of a classification.

        Args:
            predicted: Its predictions.
            places: Of the examples among them.
            heat: Where the model looked, as data URIs by path.
        """
        names, found = predicted.names, []
        for place in places:
            key, true = str(predicted.keys[place]), int(predicted.true[place])
            said = int(predicted.decided[place])
            image, text = self.shown(key)
            confidence = percent(float(predicted.scores[place, said]))
            classes = (short(names[true]), short(names[said]))
            looked = (heat or {}).get(key, "") if image else ""
            shown = (image, text, short(key, 90), *classes, confidence, said == true, looked)
            found.append(Card(*shown))
        return found

    def shown(self, key: str) -> tuple[str, str]:
        """Image, as a data URI, and text of an example that was loaded; both empty of others."""
        return self._shown.get(key, ("", ""))

    def _read(self, key: str) -> tuple[str, str]:
        return preview(self.examples.raw(key), self.examples.are_texts)


def preview(raw: Any, text: bool) -> tuple[str, str]:
    """Image, as a data URI, and text of a raw example; both empty where it cannot be shown.

    Args:
        raw: As ``raw_example`` returns it.
        text: Whether it is a text, or a pair of them.
    """
    if raw is None:
        return "", ""
    if text:
        texts = [raw] if isinstance(raw, bytes) else raw.tolist()
        most = MAX_TEXT // len(texts)
        return "", BETWEEN.join(short(one.decode("utf-8", "replace"), most) for one in texts)
    return thumbnail(raw, SIDE), ""
