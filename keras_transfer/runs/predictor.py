"""What a finished run and an export have in common: classes, predictions, metrics on other data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.atomic import write_json
from keras_transfer.cache import cache_dir
from keras_transfer.data.copies import families, report_copies
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed, UnknownName
from keras_transfer.inputs.table import read_input
from keras_transfer.objectives.base import Labels
from keras_transfer.objectives.outputs import Output, labels_of, single_class
from keras_transfer.objectives.rejection import with_reject_metrics
from keras_transfer.runs.entities import WordPlaces, word_places
from keras_transfer.runs.labelled import with_targets
from keras_transfer.runs.prediction import Prediction
from keras_transfer.runs.split_table import read_digests, read_train_counts, write_bad_files

if TYPE_CHECKING:
    from keras_transfer.data.batches import Loading

__all__ = ["Prediction", "Predictor"]

logger = logging.getLogger("keras_transfer")


class Predictor:
    """Answers which class an image shows; what it is made of is its subclass's business.

    Attributes:
        folder: Where it lies, and where evaluations are written.
    """

    folder: Path

    @property
    def outputs(self) -> Mapping[str, Output]:
        """What the network predicts, by the name of its output."""
        raise NotImplementedError

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, labels or targets of the only output, in order."""
        (output,) = self.outputs.values()
        return output.names

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

    def scores(self, samples: Samples) -> dict[str, np.ndarray]:
        """Compute the scores of examples that are known to be valid.

        Args:
            samples: At least one.

        Returns:
            (n, units) float64 by output: probabilities, or values; (n, 1) by ``unknown_of(output)``
        """
        raise NotImplementedError

    def probabilities(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64 scores of the only output."""
        return self.scores(samples)[next(iter(self.outputs))]

    def predict(self, images: Any, *, tta: str | int | None = None) -> list[Prediction]:
        """Predict for image files, PIL images, arrays or texts.

        Args:
            images: Files, folders (all images below them) and glob patterns, one or several; or
                images in memory, as ``pixels.as_images`` takes them: a PIL image, an array
                (height, width, 3), a batch (n, height, width, 3), or a list. A model for texts
                takes texts (of pairs tuples), and tables of them as ``pathlib.Path``.
            tta: Test-time augmentation: "flip" averages the probabilities of an image and its
                mirror image, a number those of so many views, by the run's own augmentation.

        Returns:
            One prediction a file, in the order given; a file that cannot be used has its own,
            with the reason. The path of an image in memory is its number, as in "[0]".

        Raises:
            BadData: A path is empty, or an array is no image.
            BadConfiguration: ``tta`` makes no sense, or the run had no augmentation for it.
        """
        from keras_transfer.data.pixels import in_memory
        from keras_transfer.data.scan import scan
        from keras_transfer.runs.given import store_of

        self._check_tta(tta)
        # A string is a sequence of characters, and a single array one of rows.
        alone = isinstance(images, str | Path) or in_memory(images)
        given = [images] if alone else list(images)
        files, store = store_of(given, columns=read_input(self.settings["input"]).text_columns)
        # Samples need a class; there are no labels here, so one nameless class stands for all.
        samples = Samples.of(store, [""], files, [0] * len(files))
        reasons = scan(samples, self.loading.input.check, None).reasons  # all are read anyway
        scores = _mean(self._views(samples.take(reasons == ""), tta))
        places = iter(range(len(files)))

        def scored() -> dict[str, np.ndarray]:
            place = next(places)
            return {name: values[place] for name, values in scores.items()}

        words = self._words(samples)
        return [
            Prediction(file, None if reason else scored(), self.outputs, reason, place)
            for file, reason, place in zip(files, reasons, words, strict=True)
        ]

    def _words(self, samples: Samples) -> Sequence[WordPlaces | None]:
        """Where the words of each text are, if words have labels."""
        if not any(output.objective.per_token for output in self.outputs.values()):
            return [None] * len(samples)
        return word_places(samples.store.raw(samples.rows), self.loading.input)

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

        self._check_tta(tta)
        own = data is None
        everything = self.samples(["test"]) if own else self._read(data, data_dir)
        found_bad = scan(everything, self.loading.input.check, cache_dir())
        samples = drop_invalid(everything, found_bad, on_bad)
        if not own:
            self._check_unseen(samples.digests, strict)
            report_copies(samples)
        views = self._views(samples, tta)
        metrics = self.metrics_of(samples, _mean(views))
        if tta is not None:
            plain = self.metrics_of(samples, views[0])
            for name, output in self.outputs.items():
                shown = (*output.objective.headline, "log_loss")
                metrics[name]["plain"] = {m: plain[name][m] for m in shown if m in plain[name]}
        found = metrics[LABEL] if [*metrics] == [LABEL] else metrics
        metadata = {"data": self.settings["data"]["source"] if own else describe(data), "tta": tta}
        try:
            folder = self.next_evaluation()
            write_bad_files(folder / "bad_files.csv", everything, found_bad.reasons)
            self._write_predictions(folder, samples, _mean(views))
            write_json(folder / "metrics.json", {**metadata, "test": found})
            logger.info("Written to %s", folder)
        except OSError as error:  # the folder of a deployed export may be read-only
            logger.warning("Warning: predictions and metrics are not written: %s.", error)
        return found

    def metrics_of(
        self, samples: Samples, scores: Mapping[str, np.ndarray]
    ) -> dict[str, dict[str, Any]]:
        """Compute the metrics of scores that are there already.

        Args:
            samples: With true values, as ``labelled`` gives them.
            scores: (n, units) float by output, of these examples.

        Returns:
            As ``Objective.evaluate`` gives them, by output.
        """
        # Copies of an example are no independent evidence, so intervals resample them together.
        copies = families(samples.digests)
        found = {
            name: output.objective.evaluate(
                labels_of(samples, name).values,
                scores[name],
                output.names,
                decision=output.decision,
                train=self._train_labels(name),
                families=copies,
            )
            for name, output in self.outputs.items()
        }
        true = {name: labels_of(samples, name).values for name in found}
        return with_reject_metrics(found, true, scores, copies)

    def _train_labels(self, output: str) -> Labels | None:
        """Labels of the train split, as many of each class as there were; None if not known."""
        if self.split is None or not self._single_class:
            return None
        counts = read_train_counts(self.split, self.classes)
        # The metrics need counts only, and an export has no training examples.
        return Labels(np.repeat(np.arange(len(counts), dtype="int32"), counts), self.classes)

    def _write_predictions(
        self, folder: Path, samples: Samples, scores: Mapping[str, np.ndarray]
    ) -> None:
        for name, output in self.outputs.items():
            file = folder / ("predictions.csv" if name == LABEL else f"predictions_{name}.csv")
            values, decision = labels_of(samples, name).values, output.decision
            output.objective.write_predictions(
                file, samples.keys, values, scores[name], output.names, decision=decision
            )

    @property
    def _single_class(self) -> bool:
        return single_class({name: output.objective for name, output in self.outputs.items()})

    def samples(self, splits: Sequence[str]) -> Samples:
        """Find the images again that it was trained on; a run can.

        Args:
            splits: Which parts of them: "train", "val", "test".

        Raises:
            BadConfiguration: This one cannot.
        """
        raise BadConfiguration(f"{self.folder} holds no table of examples; name some by --data.")

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
        return drop_invalid(samples, scan(samples, self.loading.input.check, cache_dir()), "fail")

    def _read(self, data: Any, data_dir: Path | None) -> Samples:
        from keras_transfer.data import splits

        samples = self._with_targets(data, data_dir)
        # Train and val examples of the same data would flatter the metrics.
        if (samples.splits == "test").any():
            samples = samples.split("test")
            logger.info("The data have splits; these are the metrics of their test split.")
        if not self._single_class:
            return samples
        # The run chose some of the data's classes, so the same choice is made again.
        if self.settings["data"].get("classes") and set(self.classes) < set(samples.classes):
            samples = splits.keep_classes(samples, self.classes)
        return self._relabelled(samples)

    def _with_targets(self, data: Any, data_dir: Path | None, layout: str = "auto") -> Samples:
        """Read labelled examples, with the targets of this network's outputs."""
        return with_targets(data, data_dir, self, layout=layout)

    def _relabelled(self, samples: Samples) -> Samples:
        """The same images, with this model's class order."""
        unknown = [name for name in samples.classes if name not in self.classes]
        if unknown:
            cure = UnknownName("class", unknown[0], self.classes)
            raise BadData(f"The data have a class that the model does not know. {cure}")
        # Other data may lack a class; numbering by their own names would shift all labels.
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
        # val too: the best epoch was chosen on it. By content, since files are renamed and copied.
        trained_on = read_digests(self.split, ["train", "val"])
        if not (seen := sum(digest in trained_on for digest in digests)):
            return
        message = (
            f"{seen} of these {len(digests)} examples are among those that this model was trained "
            "or chosen on, so the metrics flatter it."
        )
        if strict:
            raise CheckFailed(message)
        logger.warning("Warning: %s", message)

    def next_evaluation(self) -> Path:
        """Make a folder for what is measured on other data."""
        home = self.folder / "evaluations"
        taken = [int(one.name) for one in home.glob("*") if one.name.isdecimal()]
        folder = home / str(1 + max(taken, default=0))
        # No exist_ok: two evaluations at the same time must not share a folder.
        folder.mkdir(parents=True)
        return folder

    def _views(self, samples: Samples, tta: str | int | None) -> list[dict[str, np.ndarray]]:
        """Scores of each view of the examples, first of the examples as they are."""
        if not len(samples):
            return [{name: np.empty((0, len(one.names))) for name, one in self.outputs.items()}]
        if tta is None:
            return [self.scores(samples)]
        from keras_transfer.inputs.images.tta import views

        return [self.scores(view) for view in views(samples, self.loading, tta)]

    def _check_tta(self, tta: str | int | None) -> None:
        """Refuse what makes no sense before images are read."""
        if tta is not None:
            from keras_transfer.inputs.images.tta import check_views

            check_views(tta, self.settings["input"].get("augment"))


def _mean(views: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([view[name] for view in views]).mean(axis=0) for name in views[0]}
