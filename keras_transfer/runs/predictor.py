"""What a finished run and an export have in common: classes, predictions, metrics on other data."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.cache import cache_dir
from keras_transfer.data.copies import families, report_copies
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed, UnknownName
from keras_transfer.runs.directory import (
    read_digests,
    read_train_counts,
    write_bad_files,
    write_json,
)

if TYPE_CHECKING:
    from keras_transfer.data.batches import Loading

__all__ = ["Prediction", "Predictor"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one image.

    Attributes:
        path: The image's file; "[0]" and so on for images that were given in memory.
        probabilities: (classes,) float64 that sum to 1; None where the file cannot be used.
        classes: Class names in label order.
        error: Why the file cannot be used; empty where it can.
    """

    path: str
    probabilities: np.ndarray | None
    classes: tuple[str, ...]
    error: str = ""

    @property
    def label(self) -> str | None:
        """Name of the most probable class; None for a file that cannot be used."""
        top = self.top(1)
        return top[0][0] if top else None

    def top(self, k: int) -> list[tuple[str, float]]:
        """The k most probable classes with their probabilities, best first."""
        if self.probabilities is None:
            return []
        best = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.classes[i], float(self.probabilities[i])) for i in best]


class Predictor:
    """Answers which class an image shows; what it is made of is its subclass's business.

    Attributes:
        folder: Where it lies, and where evaluations are written.
    """

    folder: Path

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the recipe as it was run."""
        raise NotImplementedError

    @property
    def split(self) -> Path | None:
        """The table of the images it was trained on; None where it is not at hand."""
        raise NotImplementedError

    @property
    def loading(self) -> Loading:
        """How its images become batches."""
        raise NotImplementedError

    def probabilities(self, samples: Samples) -> np.ndarray:
        """Classify images that are known to be sound.

        Args:
            samples: At least one.

        Returns:
            (n, classes) float64 probabilities.
        """
        raise NotImplementedError

    def predict(self, images: Any, *, tta: str | int | None = None) -> list[Prediction]:
        """Classify image files, PIL images or arrays.

        Args:
            images: Files, folders (all images below them) and glob patterns, one or several; or
                images in memory, as ``pixels.as_images`` takes them: a PIL image, an array
                (height, width, 3), a batch (n, height, width, 3), or a list.
            tta: Test-time augmentation: "flip" averages the probabilities of an image and its
                mirror image, a number those of so many views, by the run's own augmentation.

        Returns:
            One prediction a file, in the order given; a file that cannot be used has its own,
            with the reason. The path of an image in memory is its number, as in "[0]".

        Raises:
            BadData: A path is empty, or an array is no image.
            BadConfiguration: ``tta`` makes no sense, or the run had no augmentation for it.
        """
        from keras_transfer.data.files import Files
        from keras_transfer.data.pixels import Pixels, as_images, in_memory
        from keras_transfer.data.scan import scan

        self._check_tta(tta)
        alone = isinstance(images, str | Path) or in_memory(images)
        given = [images] if alone else list(images)
        store: Any
        if (pixels := as_images(given)) is not None:
            store, files = Pixels(pixels), [f"[{number}]" for number in range(len(pixels))]
        else:
            files = _expanded(given)
            store = Files(files)
        samples = Samples.of(store, self.classes, files, [0] * len(files))
        reasons = scan(samples, None).reasons  # all are read anyway
        drop_invalid = reasons == ""
        answers = iter(self._answers(samples.take(drop_invalid), tta).mean(axis=0))
        return [
            Prediction(file, None if reason else next(answers), self.classes, reason)
            for file, reason in zip(files, reasons, strict=True)
        ]

    def evaluate(
        self,
        data: Any = None,
        *,
        data_dir: Path | None = None,
        on_bad: str = "fail",
        strict: bool = False,
        tta: str | int | None = None,
    ) -> dict[str, Any]:
        """Compute the metrics of this model on labelled data.

        The test split of the data counts where they have one, all of the data otherwise.
        Predictions and metrics are written into ``evaluations/<n>/`` of its folder.

        Args:
            data: A spec as for a recipe's ``data``, or arrays ``(x, y)``; None: the test split
                of the run.
            data_dir: Where TFDS data sets lie.
            on_bad: "fail" or "skip" images that cannot be read.
            strict: Fail where the model was trained on some of these images.
            tta: As for ``predict``.

        Returns:
            As ``metrics`` holds them for a part; with ``tta`` also "plain": accuracy, macro F1 and
            log loss without it.

        Raises:
            BadData: The data cannot be read, or have a class that the model does not know.
            BadConfiguration: As for ``predict``; or there are no data.
            CheckFailed: With ``strict``, images that the model was trained on are among them.
        """
        from keras_transfer.data.scan import drop_invalid, scan
        from keras_transfer.data.sources import describe
        from keras_transfer.evaluation.metrics import classification_metrics
        from keras_transfer.evaluation.predictions import write_predictions

        self._check_tta(tta)
        own = data is None
        everything = self.samples(["test"]) if own else self._read(data, data_dir)
        found_bad = scan(everything, cache_dir())
        samples = drop_invalid(everything, found_bad, on_bad)
        if not own:
            self._check_unseen(samples.digests, strict)
            report_copies(samples)
        answers = self._answers(samples, tta)
        found = answers.mean(axis=0)
        counts = read_train_counts(self.split, self.classes) if self.split else None
        metrics = classification_metrics(
            samples.labels, found, self.classes, counts, families(samples.digests)
        )
        if tta is not None:
            plain = classification_metrics(samples.labels, answers[0], self.classes)
            metrics["plain"] = {name: plain[name] for name in ("accuracy", "macro_f1", "log_loss")}
        metadata = {"data": self.settings["data"] if own else describe(data), "tta": tta}
        try:
            folder = self._next_evaluation()
            write_bad_files(folder / "bad_files.csv", everything, found_bad.reasons)
            write_predictions(
                folder / "predictions.csv", samples.keys, samples.labels, found, self.classes
            )
            write_json(folder / "metrics.json", {**metadata, "test": metrics})
            logger.info("Written to %s", folder)
        except OSError as error:  # the folder of a deployed export may be read-only
            logger.warning("Warning: predictions and metrics are not written: %s.", error)
        return metrics

    def samples(self, splits: Sequence[str]) -> Samples:
        """Find the images again that it was trained on; a run can.

        Args:
            splits: Which parts of them: "train", "val", "test".

        Raises:
            BadConfiguration: This one cannot.
        """
        raise BadConfiguration(f"{self.folder} holds no table of images; name some by --data.")

    def labelled(self, data: Any, data_dir: Path | None = None) -> Samples:
        """Read other labelled images, all of them sound, with this model's classes.

        Args:
            data: As for ``evaluate``.
            data_dir: Where TFDS data sets lie.

        Raises:
            BadData: The data cannot be read, or have a class that the model does not know.
        """
        from keras_transfer.data.scan import drop_invalid, scan

        samples = self._read(data, data_dir)
        return drop_invalid(samples, scan(samples, cache_dir()), "fail")

    def _read(self, data: Any, data_dir: Path | None) -> Samples:
        from keras_transfer.data import sources, splits

        samples = sources.read(data, data_dir)
        if (samples.splits == "test").any():
            samples = samples.split("test")
            logger.info("The data have parts; these are the metrics of their test split.")
        if self.settings.get("classes") and set(self.classes) < set(samples.classes):
            samples = splits.keep_classes(samples, self.classes)
        return self._relabelled(samples)

    def _relabelled(self, samples: Samples) -> Samples:
        """The same images, with this model's class order."""
        unknown = [name for name in samples.classes if name not in self.classes]
        if unknown:
            cure = UnknownName("class", unknown[0], self.classes)
            raise BadData(f"The data have a class that the model does not know. {cure}")
        places = np.array([self.classes.index(name) for name in samples.classes], "int32")
        return Samples.of(
            samples.store,
            self.classes,
            samples.keys,
            places[samples.labels],
            rows=samples.rows,
            splits=samples.splits,
        )

    def _check_unseen(self, digests: np.ndarray, strict: bool) -> None:
        if self.split is None:
            return
        trained_on = read_digests(self.split, ["train", "val"])
        seen = sum(digest in trained_on for digest in digests)
        if not seen:
            return
        message = (
            f"{seen} of these {len(digests)} images are among those that this model was trained "
            "or chosen on, so the metrics flatter it."
        )
        if strict:
            raise CheckFailed(message)
        logger.warning("Warning: %s", message)

    def _next_evaluation(self) -> Path:
        home = self.folder / "evaluations"
        taken = [int(one.name) for one in home.glob("*") if one.name.isdecimal()]
        folder = home / str(1 + max(taken, default=0))
        folder.mkdir(parents=True)
        return folder

    def _answers(self, samples: Samples, tta: str | int | None) -> np.ndarray:
        """(views, n, classes) probabilities, of the images as they are in the first place."""
        if not len(samples):
            return np.empty((1, 0, len(self.classes)))
        if tta is None:
            return self.probabilities(samples)[None]
        from keras_transfer.data.tta import views

        seen = views(samples, self.loading, tta, self.settings["augment"])
        return np.stack([self.probabilities(one) for one in seen])

    def _check_tta(self, tta: str | int | None) -> None:
        """Refuse what makes no sense before images are read."""
        if tta is None:
            return
        from keras_transfer.data.tta import check_views

        check_views(tta, self.settings["augment"])


def _expanded(paths: list[str | Path]) -> list[str]:
    """Files, images in folders, and what glob patterns match, in order."""
    files: list[str] = []
    for path in map(str, paths):
        if not path:
            raise BadData("A path is empty; name files, folders or patterns.")
        pattern = glob.has_magic(path) and not os.path.exists(path)
        found = sorted(glob.glob(path, recursive=True)) if pattern else []
        # What leads to no image stays in the list itself, and gets a row that says so.
        for one in found or [path]:
            files += _images_below(one) or [one] if os.path.isdir(one) else [one]
    return files


def _images_below(folder: str) -> list[str]:
    from keras_transfer.data.listing import identity, images_below

    return sorted(images_below(folder, {identity(folder)})[0])
