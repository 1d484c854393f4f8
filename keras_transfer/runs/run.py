"""A finished run, read back from its folder."""

from __future__ import annotations

import csv
import glob
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.cache import cache_dir
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData, BadWeights, CheckFailed, UnknownName
from keras_transfer.runs.folder import read_digests, stored_knobs, write_bad_files, write_json

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.pipeline import Loading

__all__ = ["Prediction", "Run"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one picture.

    Attributes:
        path: The picture's file.
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


class Run:
    """A run folder, read back: its model, figures and classes.

    Args:
        folder: What ``kt-recipe run`` has written.

    Raises:
        BadConfiguration: The folder holds no finished run.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not (self.folder / "run.json").is_file():
            raise BadConfiguration(f"{folder} is no run folder: there is no run.json in it.")
        if self.about["status"] != "done":
            raise BadConfiguration(
                f"The run in {folder} is not finished (it is {self.about['status']!r}). Finish it: "
                f"the command that began it, with --out {folder} --resume."
            )

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadData(f"{self.folder / name} cannot be read: {error}") from None

    @cached_property
    def about(self) -> dict[str, Any]:
        """What ``run.json`` says: recipe, kind, versions, status, seconds."""
        return self._json("run.json")

    @cached_property
    def knobs(self) -> dict[str, Any]:
        """Every knob of the recipe as it was run."""
        return stored_knobs(self.folder)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(self._json("classes.json"))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Figures of the parts, by name: "test", "val"; and those of the "baselines"."""
        return self._json("metrics.json")

    def report(self) -> str:
        """The figures on the test part beside the plain baselines, as text for people."""
        from keras_transfer.evaluation.metrics import summary

        lines = [f"Test part of {self.folder}", summary(self.metrics["test"]), "Baselines"]
        lines += [
            f"  {name}: failed"
            if "error" in figures
            else f"  {name}: accuracy {figures['accuracy']:.4f}, macro F1 {figures['macro_f1']:.4f}"
            for name, figures in self.metrics["baselines"].items()
        ]
        return "\n".join(lines)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """A row an epoch, as ``history.csv`` has it: stage, epoch, figures, learning rate."""
        with (self.folder / "history.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            {
                "stage": row.pop("stage"),
                "epoch": int(row.pop("epoch")),
                **{name: float(value) for name, value in row.items()},
            }
            for row in rows
        ]

    @cached_property
    def model(self) -> keras.Model:
        """The best model: (batch, size, size, 3) RGB pixels 0..255 to (batch, classes) logits."""
        import keras

        try:
            return keras.models.load_model(self.folder / "best.keras", compile=False)
        except (ValueError, OSError) as error:
            raise BadWeights(f"{self.folder / 'best.keras'} cannot be read: {error}") from None

    @property
    def loading(self) -> Loading:
        """How this run's pictures become batches."""
        from keras_transfer.data.pipeline import Loading

        return Loading(self.model.input_shape[1], self.knobs["resize"], self.knobs["batch_size"])

    def predict(self, paths: str | Path | Iterable[str | Path]) -> list[Prediction]:
        """Classify picture files.

        Args:
            paths: Files, folders (all pictures below them) and glob patterns.

        Returns:
            One prediction a file, in the order given; a file that cannot be used has its own,
            with the reason.

        Raises:
            BadData: A path is empty.
        """
        from keras_transfer.data.files import Files
        from keras_transfer.data.scan import scan

        files = _expanded([paths] if isinstance(paths, str | Path) else list(paths))
        samples = Samples.of(Files(files), self.classes, files, [0] * len(files))
        reasons = scan(samples, cache_dir()).reasons
        sound = reasons == ""
        answers = iter(self._probabilities(samples.take(sound)))
        return [
            Prediction(file, None if reason else next(answers), self.classes, reason)
            for file, reason in zip(files, reasons, strict=True)
        ]

    def _probabilities(self, samples: Samples) -> np.ndarray:
        from keras_transfer.data.pipeline import evaluation_batches
        from keras_transfer.evaluation.inference import probabilities

        if not len(samples):
            return np.empty((0, len(self.classes)))
        return probabilities(self.model, evaluation_batches(samples, self.loading), "predicting")

    def evaluate(
        self,
        data: Any,
        *,
        data_dir: Path | None = None,
        on_bad: str = "fail",
        strict: bool = False,
    ) -> dict[str, Any]:
        """Compute the figures of this run's model on other labelled data.

        The test part of the data counts where they have one, all of the data otherwise.
        Predictions and figures are written into ``evaluations/<n>/`` of the run folder.

        Args:
            data: A spec as for a recipe's knob ``data``, or arrays ``(x, y)``.
            data_dir: Where TFDS data sets lie.
            on_bad: "fail" or "skip" pictures that cannot be read.
            strict: Fail where the model was trained on some of these pictures.

        Returns:
            As ``metrics`` holds them for a part.

        Raises:
            BadData: The data cannot be read, or have a class that the model does not know.
            CheckFailed: With ``strict``, pictures that the run was trained on are among them.
        """
        from keras_transfer.data import sources, splits
        from keras_transfer.data.scan import scan, sound
        from keras_transfer.evaluation.metrics import classification_metrics
        from keras_transfer.evaluation.predictions import write_predictions

        samples = sources.read(data, data_dir)
        if (samples.parts == "test").any():
            samples = samples.part("test")
            logger.info("The data have parts; these are the figures of their test part.")
        if self.knobs.get("classes") and set(self.classes) < set(samples.classes):
            samples = splits.keep_classes(samples, self.classes)
        everything, found_bad = self._relabelled(samples), scan(samples, cache_dir())
        samples = sound(everything, found_bad, on_bad)
        self._check_unseen(samples.digests, strict)
        found = self._probabilities(samples)
        folder = self._next_evaluation()
        write_bad_files(folder / "bad_files.csv", everything, found_bad.reasons)
        write_predictions(
            folder / "predictions.csv", samples.keys, samples.labels, found, self.classes
        )
        figures = classification_metrics(samples.labels, found, self.classes)
        write_json(folder / "metrics.json", {"data": sources.describe(data), "test": figures})
        logger.info("Written to %s", folder)
        return figures

    def _relabelled(self, samples: Samples) -> Samples:
        """The same pictures, with this run's class order."""
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
            parts=samples.parts,
        )

    def _check_unseen(self, digests: np.ndarray, strict: bool) -> None:
        trained_on = read_digests(self.folder / "split.csv", ["train", "val"])
        seen = sum(digest in trained_on for digest in digests)
        if not seen:
            return
        message = (
            f"{seen} of these {len(digests)} pictures are among those that this model was trained "
            "or chosen on, so the figures flatter it."
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


def _expanded(paths: list[str | Path]) -> list[str]:
    """Files, pictures in folders, and what glob patterns match, in order."""
    files: list[str] = []
    for path in map(str, paths):
        if not path:
            raise BadData("A path is empty; name files, folders or patterns.")
        pattern = glob.has_magic(path) and not os.path.exists(path)
        found = sorted(glob.glob(path, recursive=True)) if pattern else []
        # What leads to no picture stays in the list itself, and gets a row that says so.
        for one in found or [path]:
            files += _pictures_below(one) or [one] if os.path.isdir(one) else [one]
    return files


def _pictures_below(folder: str) -> list[str]:
    from keras_transfer.data.listing import identity, pictures_below

    return sorted(pictures_below(folder, {identity(folder)})[0])
