"""Where the model looked in the examples that a page shows, kept in the run folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from keras_transfer.atomic import write_json
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.explanations.sanity import Sanity
from keras_transfer.explanations.summary import Summary, summary_of
from keras_transfer.reports.examples import Examples
from keras_transfer.reports.explanations import document_of
from keras_transfer.runs.records import read_json
from keras_transfer.runs.run import Run

__all__ = ["FILE", "HeatMaps", "heat_maps", "stored_maps"]

FILE = "heat_maps.json"
METHOD = "grad_cam"
SIDE = 112
"""Side of an overlay in pixels, as the images of the page."""

logger = logging.getLogger("keras_transfer")


class HeatMaps(NamedTuple):
    """Overlays of one output's examples.

    Attributes:
        images: Data URIs by the example's path.
        summary: Deletion scores of some of them, and the sanity check.
        scored: Number of images with deletion scores.
    """

    images: Mapping[str, str]
    summary: Summary
    scored: int

    @property
    def sentences(self) -> list[str]:
        """What the page says of them."""
        first = (
            "The lower image is pale where the model did not look, and bright where it found what "
            "it says (Grad-CAM, Selvaraju et al. 2017)."
        )
        of = f" Deletion scores are of {self.scored} of {len(self.images)} maps."
        return [first + of * (0 < self.scored < len(self.images)), *self.summary.sentences]


def stored_maps(folder: Path) -> dict[str, HeatMaps]:
    """Maps that are in the run folder, by output; none if there are none, or they are damaged."""
    try:
        found = read_json(folder / FILE, dict)
        return {name: _read(row) for name, row in found.items()}
    except (BadData, OSError, LookupError, TypeError, ValueError, AttributeError):
        return {}


def _read(row: Mapping[str, Any]) -> HeatMaps:
    summary = Summary(**row["summary"])
    sanity = summary.sanity
    if isinstance(sanity, Mapping):
        summary = summary._replace(sanity=Sanity(**sanity))
    images = {str(path): str(image) for path, image in row["images"].items()}
    if not all(image.startswith("data:image/jpeg;base64,") for image in images.values()):
        raise ValueError("an image is none")
    return HeatMaps(images, summary, int(row["scored"]))


def heat_maps(
    run: Run, examples: Examples, keys: Mapping[str, Sequence[str]], seconds: float
) -> dict[str, HeatMaps]:
    """Maps of the examples of a page, from the run folder or from the model.

    Where there can be none, as of texts, learners without a gradient and networks without maps,
    there are none; a failure is logged, since a page without maps is worth more than none.

    Args:
        run: A finished run.
        examples: Reads them.
        keys: Paths of the examples, by output.
        seconds: For deletion scores; images that are left then have none.

    Returns:
        By output.
    """
    stored = stored_maps(run.folder)
    wanted = {name: [*dict.fromkeys(paths)] for name, paths in keys.items() if paths}
    if examples.are_texts or examples.problem:
        return stored
    if all(name in stored and {*paths} <= {*stored[name].images} for name, paths in wanted.items()):
        return stored
    try:
        found = {name: _made(run, examples, name, paths, seconds) for name, paths in wanted.items()}
    except BadConfiguration:  # no gradient, or no maps
        return stored
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        logger.warning("Warning: the page has no heat maps. %s", reason)
        return stored
    found = {name: maps for name, maps in found.items() if maps.images}
    write_json(run.folder / FILE, {name: _document(maps) for name, maps in found.items()})
    return found


def _document(maps: HeatMaps) -> dict[str, Any]:
    summary = document_of(maps.summary)
    return {"summary": summary, "scored": maps.scored, "images": dict(maps.images)}


def _made(
    run: Run, examples: Examples, output: str, paths: Sequence[str], seconds: float
) -> HeatMaps:
    # Imported here: they take TensorFlow and the model's classes along.
    from keras_transfer.explanations.images import ImageExplainer
    from keras_transfer.explanations.prepared import prepared
    from keras_transfer.reports.overlay import overlay_uri

    explainer = ImageExplainer(run, METHOD, output=output, score_deletion=False)
    raw = {path: found for path in paths if (found := examples.find(path)) is not None}
    if not raw:
        return HeatMaps({}, summary_of(METHOD, [], None), 0)
    pixels = prepared(run.loading.input, [*raw.values()])
    explained = explainer.of_pixels(pixels)
    found, images = [], {}
    until = time.monotonic() + seconds  # only from here: the maps themselves are always made
    for path, one in zip(raw, explained, strict=True):
        assert one.pixels is not None
        assert one.heat is not None
        images[path] = overlay_uri(one.pixels, one.heat, SIDE)
        if time.monotonic() < until:
            one = replace(one, deletion=explainer.deletion_of(one))
        found.append(one)
    scored = sum(one.deletion is not None for one in found)
    return HeatMaps(images, summary_of(METHOD, found, explainer.sanity), scored)
