"""The folder of ``kt-recipe explain``: overlays, arrays, a table and a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.atomic import replacing, write_bytes, write_csv, write_json
from keras_transfer.errors import BadConfiguration
from keras_transfer.explanations.images import ImageExplainer, ImageExplanation
from keras_transfer.explanations.summary import Summary, summary_of
from keras_transfer.reports.overlay import image_uri, overlay_png, overlay_uri
from keras_transfer.reports.wording import short

__all__ = ["INDEX", "PAGE", "SHOWN", "SUMMARY", "document_of", "new_folder", "write_images"]

INDEX, PAGE, SUMMARY = "index.csv", "index.html", "summary.json"
SHOWN = 200
"""Most examples of a page."""
SIDE = 224

HEADER = (
    *("path", "error", "predicted", "explained", "score", "deletion", "random_deletion"),
    *("overlay", "arrays"),
)


class _Card(NamedTuple):
    """An image of the page."""

    image: str
    overlay: str
    title: str
    lines: list[str]
    path: str


def new_folder(run: Path, to: Path | None) -> Path:
    """A new folder for explanations: ``to``, or the next number in ``explanations/`` of a run.

    Raises:
        BadConfiguration: There are files in it already, or it cannot be made.
    """
    if to is None:
        home = run / "explanations"
        taken = [int(one.name) for one in home.glob("*") if one.name.isdecimal()]
        to = home / str(1 + max(taken, default=0))
    try:
        to.mkdir(parents=True, exist_ok=True)
        full = any(to.iterdir())
    except OSError as error:
        raise BadConfiguration(f"--to {to}: {error.strerror}. Name another folder.") from None
    if full:
        raise BadConfiguration(f"--to {to}: there are files in it. Name a new folder.")
    return to


def write_images(
    folder: Path, explainer: ImageExplainer, found: Iterable[ImageExplanation], method: str
) -> tuple[Summary, list[ImageExplanation]]:
    """Write explanations of images, one after the other.

    For each ``NUMBER_NAME.png``, the heat over the image as the network sees it, and
    ``NUMBER_NAME.npz``: ``heat`` (size, size) float32 0..1, ``attributions`` (size, size) float32,
    ``classes`` (units,) names, ``explained``, ``predicted``, ``path``, ``score``, ``value`` and, of
    integrated gradients, ``reference``. ``index.csv`` has a row for each, ``summary.json`` the
    means, and ``index.html`` shows up to 200 where Jinja is installed.

    Args:
        folder: Is empty.
        explainer: What gives the explanations.
        found: They.
        method: Its name.

    Returns:
        The summary, and the explanations without their arrays.
    """
    rows, light = [], []
    cards: list[_Card] = []
    for number, one in enumerate(found, start=1):
        name = "" if one.error else f"{number:04d}_{_safe(one.path)}"
        if name:
            _write_one(folder / name, one, explainer.asked.output.names)
            if len(cards) < SHOWN:
                cards.append(_card(one))
        rows.append(_row(one, name))
        light.append(replace(one, pixels=None, heat=None, attributions=None))
    summary = summary_of(method, light, explainer.sanity)
    write_csv(folder / INDEX, HEADER, rows)
    write_json(folder / SUMMARY, document_of(summary))
    _write_page(folder / PAGE, explainer.run.folder, summary, cards)
    return summary, light


def document_of(summary: Summary) -> dict[str, Any]:
    """A summary as JSON has it."""
    sanity = summary.sanity
    return summary._asdict() | {"sanity": None if sanity is None else sanity._asdict()}


def _valid(text: str) -> str:
    """The text with a question mark for what is no Unicode, as in file names of other encodings."""
    return text.encode("utf-8", "replace").decode()


def _safe(path: str) -> str:
    """The name of a file without what some file systems refuse."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1].rpartition(".")[0] or path
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60].strip("_") or "image"


def _write_one(path: Path, one: ImageExplanation, names: tuple[str, ...]) -> None:
    assert one.pixels is not None
    assert one.heat is not None
    write_bytes(path.with_name(f"{path.name}.png"), overlay_png(one.pixels, one.heat))
    texts = {"path": one.path, "predicted": one.predicted, "explained": one.explained}
    # No object arrays, so that they load without pickle; no entry for what is not there.
    content: dict[str, Any] = {
        "heat": one.heat,
        "attributions": one.attributions,
        "classes": np.array([*map(_valid, names)]),
        **{key: np.array(_valid(text)) for key, text in texts.items()},
        "score": np.float64(one.score),
        "value": np.float64(one.value),
    }
    if one.reference is not None:
        content["reference"] = np.float64(one.reference)
    with replacing(path.with_name(f"{path.name}.npz")) as part:
        np.savez_compressed(part, **content)


def _row(one: ImageExplanation, name: str) -> list[object]:
    if one.error:
        return [one.path, one.error, *[""] * (len(HEADER) - 2)]
    scores = ["", ""] if one.deletion is None else [f"{area:.6g}" for area in one.deletion]
    said = [one.predicted, one.explained, f"{one.score:.6g}", *scores]
    return [one.path, "", *said, f"{name}.png", f"{name}.npz"]


def _card(one: ImageExplanation) -> _Card:
    assert one.pixels is not None
    assert one.heat is not None
    lines = [f"for {short(one.explained, 40)}: {one.score:.3g}"]
    if one.deletion is not None:
        lines.append("deletion {:.3f}, random {:.3f}".format(*one.deletion))
    return _Card(
        image_uri(one.pixels, SIDE),
        overlay_uri(one.pixels, one.heat, SIDE),
        short(one.predicted, 40),
        lines,
        one.path,
    )


def _write_page(path: Path, run: Path, summary: Summary, cards: list[_Card]) -> None:
    if find_spec("jinja2") is None:
        return
    from keras_transfer.reports.templates import environment

    template = environment().get_template("explanations.html")
    page = template.render(run=str(run), summary=summary, cards=cards)
    write_bytes(path, page.encode("utf-8", "backslashreplace"))
