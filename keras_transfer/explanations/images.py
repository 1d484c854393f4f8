"""Where a finished run looks in images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.pixels import in_memory
from keras_transfer.data.samples import Samples
from keras_transfer.data.scan import scan
from keras_transfer.errors import BadConfiguration
from keras_transfer.explanations.asked import Asked
from keras_transfer.explanations.attribution import METHODS, as_heat
from keras_transfer.explanations.deletion import Deletion, deletion
from keras_transfer.explanations.sanity import EXAMPLES, Sanity, sanity_check
from keras_transfer.explanations.subject import Subject
from keras_transfer.inputs.table import read_input
from keras_transfer.runs.given import store_of
from keras_transfer.runs.run import Run

__all__ = ["ImageExplainer", "ImageExplanation"]

CHUNK = 32
"""Images that are held at once."""


@dataclass(frozen=True, eq=False)
class ImageExplanation:
    """Where a network looked in an image.

    Attributes:
        path: The image's file.
        error: Why the image cannot be used; empty where it can, and all below is there.
        predicted: The answer.
        explained: Name of the class, label or target that is explained.
        score: Its probability; its value of a regression.
        value: Its log-odds; its value of a regression.
        reference: The same of the image that integrated gradients start from; None for others.
        pixels: (size, size, 3) uint8, as the network sees the image.
        heat: (size, size) float32, 0..1: what speaks for it.
        attributions: (size, size) float32, signed; those of integrated gradients sum to value -
            reference.
        deletion: None for a regression.
    """

    path: str
    error: str = ""
    predicted: str = ""
    explained: str = ""
    score: float = float("nan")
    value: float = float("nan")
    reference: float | None = None
    pixels: np.ndarray | None = None
    heat: np.ndarray | None = None
    attributions: np.ndarray | None = None
    deletion: Deletion | None = None


class ImageExplainer:
    """Explains a run's answers for images.

    Args:
        run: A finished run for images.
        method: A row of ``METHODS``.
        unit: Name of the class, label or target to explain; None: the most probable one, the
            first target of a regression.
        output: Name of the network's output; None: the first one.
        sanity: Whether to compare with random weights.
        score_deletion: Whether to compute deletion scores.

    Attributes:
        sanity: The check on the first eight images, once they are explained; None without.

    Raises:
        UnknownName: No method, class or output has this name.
        BadConfiguration: The run is not for images, or the method does not suit its network.
    """

    def __init__(
        self,
        run: Run,
        method: str = "grad_cam",
        unit: str | None = None,
        output: str | None = None,
        *,
        sanity: bool = True,
        score_deletion: bool = True,
    ):
        self.run, self.method, self.asked = run, METHODS[method], Asked(run, unit, output)
        if read_input(run.settings["input"]).text_columns:
            raise BadConfiguration(f"The run in {run.folder} takes texts: use TextExplainer.")
        self.subject = Subject(run.network, self.asked.name, self.asked.activation)
        if self.method.gradient:
            self.subject.check_gradient(method)
        self._attribute = self.method.make(self.subject)
        self._sanity, self._deletion = sanity, score_deletion
        self.sanity: Sanity | None = None

    def explain(self, images: Any) -> Iterator[ImageExplanation]:
        """Explain image files, PIL images or arrays.

        Args:
            images: As ``Run.predict`` takes them.

        Yields:
            One explanation an image, in their order; one that cannot be used has the reason.
        """
        # A string is a sequence of characters, and a single array one of rows.
        alone = isinstance(images, str | Path) or in_memory(images)
        files, store = store_of([images] if alone else list(images), columns=())
        samples = Samples.of(store, [""], files, [0] * len(files))
        reasons = scan(samples, self.run.loading.input.check, None).reasons
        for start in range(0, len(files), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(files)))
            good = part[reasons[part] == ""]
            found = iter(self._chunk(files, samples.take(good)) if len(good) else ())
            for place in part:
                bad = ImageExplanation(files[place], str(reasons[place]))
                yield bad if bad.error else replace(next(found), path=files[place])

    def _chunk(self, files: Sequence[str], samples: Samples) -> list[ImageExplanation]:
        loading = Loading(self.run.loading.input, CHUNK)
        batches = [batch["pixels"].numpy() for batch in plain_batches(samples, loading)]
        found = self.of_pixels(np.concatenate(batches))
        if not self._deletion:
            return found
        return [replace(one, deletion=self.deletion_of(one)) for one in found]

    def of_pixels(self, pixels: np.ndarray) -> list[ImageExplanation]:
        """Explain prepared images.

        Args:
            pixels: (n, size, size, 3) float32, 0..255.

        Returns:
            Explanations without paths and deletion scores.
        """
        outputs = self.subject.network.predictor({"pixels": pixels}, training=False)
        answers, units = self.asked.answers(outputs), self.asked.units(outputs)
        found = self._attribute(pixels, units)
        values, scores = self.subject.run(pixels, units)
        if self._sanity and self.sanity is None:
            self.sanity = self._checked(pixels[:EXAMPLES], units[:EXAMPLES])
        heat = as_heat(found.pixels, self.method.top)
        return [
            ImageExplanation(
                "",
                predicted=answers[n],
                explained=self.asked.output.names[units[n]],
                score=float(scores[n]),
                value=float(values[n]),
                reference=None if found.reference is None else float(found.reference[n]),
                pixels=pixels[n].astype("uint8"),
                heat=heat[n],
                attributions=found.pixels[n],
            )
            for n in range(len(pixels))
        ]

    def deletion_of(self, one: ImageExplanation) -> Deletion | None:
        """Deletion score of an explanation of an image; None for a regression."""
        if one.pixels is None or one.attributions is None:
            return None
        unit = self.asked.output.names.index(one.explained)
        return deletion(self.subject, one.pixels.astype("float32"), one.attributions, unit)

    def _checked(self, pixels: np.ndarray, units: np.ndarray) -> Sanity | None:
        network = self.subject.network
        rough = self.method.rough
        attribute = self._attribute if rough is None else rough(self.subject)
        return sanity_check(
            network.predictor,
            [*network.backbones.values()],
            lambda: attribute(pixels, units).pixels,
        )
