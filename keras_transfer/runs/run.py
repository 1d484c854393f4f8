"""A finished run, read back from its folder."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.cache import cache_dir
from keras_transfer.csv_cells import read_cells
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.data.sources import in_memory, path_of
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.evaluation.layout import calibration_text, metric_text, title
from keras_transfer.inputs.table import read_input
from keras_transfer.objectives.outputs import Output, read_outputs
from keras_transfer.objectives.rejection import unknown_of
from keras_transfer.runs.directory import REQUIRED
from keras_transfer.runs.notebook import InNotebook
from keras_transfer.runs.pretraining import is_pretraining, pretraining_report, without_outputs
from keras_transfer.runs.records import (
    RUN,
    damaged,
    read_json,
    read_record,
    stored_settings,
    verify_files,
)
from keras_transfer.runs.split_table import read_rows

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.batches import Loading
    from keras_transfer.networks.network import Network

__all__ = ["Run"]

CURE = "Restore them, or name other labelled examples by --data."

UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a damaged file of a version without checksums may raise."""


class Run(InNotebook):
    """A run folder, read back: its model, metrics and classes.

    Args:
        folder: What ``kt-recipe run`` has written.

    Raises:
        BadConfiguration: The folder holds no finished run.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not (self.folder / RUN).is_file():
            raise BadConfiguration(f"{folder} is no run folder: there is no run.json in it.")
        if self.metadata["status"] != "done":
            raise BadConfiguration(
                f"The run in {folder} is not finished (it is {self.metadata['status']!r}). "
                f"Finish it: the command that began it, with --out {folder} --resume."
            )
        verify_files(self.folder, self.metadata)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Content of ``run.json``: recipe, kind, versions, status, seconds."""
        return read_record(self.folder / RUN, REQUIRED)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting of the recipe as it was run."""
        settings = stored_settings(self.folder)
        assert settings is not None, "a finished run has settings"
        try:
            _check_settings(settings)
        except (*UNREADABLE, BadConfiguration) as error:
            raise damaged(self.folder / "recipe.yaml", error) from None
        return settings

    @property
    def pretrained(self) -> bool:
        """Whether the run learnt from texts without labels, so that it predicts masked words."""
        return is_pretraining(self.settings)

    @cached_property
    def outputs(self) -> dict[str, Output]:
        """Outputs of the network by name; a pretraining has none, and says so."""
        if self.pretrained:
            raise BadConfiguration(without_outputs(self.folder))
        path = self.folder / "outputs.json"
        # Without it the run would be taken for one of version 1.
        verify_files(self.folder, self.metadata, [path.name])
        try:
            return read_outputs(path)
        except (*UNREADABLE, BadConfiguration) as error:
            found = path if path.exists() else path.with_name("classes.json")  # of version 1
            raise damaged(found, error) from None

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Metrics by split, "test" and "val", and of the "baselines"."""
        metrics = read_json(self.folder / "metrics.json", dict)
        if not all(isinstance(metrics.get(name), dict) for name in ("test", "val", "baselines")):
            raise damaged(self.folder / "metrics.json", "it lacks test, val or baselines")
        return metrics

    def report(self) -> str:
        """The metrics on the test split and of the baselines, as text."""
        if self.pretrained:
            return pretraining_report(self.folder, self.metrics)
        lines = [f"Test split of {self.folder}"]
        multiple = [*self.outputs] != [LABEL]
        for name, output in self.outputs.items():
            summary = output.objective.summary(self.test_metrics(name))
            lines += [f"Output {name}"] * multiple + [summary]
        lines.append("Baselines")
        for name, metrics in self.metrics["baselines"].items():
            rows = metrics if multiple and name == "simple" else {name: metrics}
            for row, values in rows.items():
                lines.append(f"  {row}: {self._headline(values)}")
        return "\n".join(
            [*lines, *self._calibration_lines(), *self._reject_lines(), *self._target_lines()]
        )

    def _calibration_lines(self) -> list[str]:
        """What calibration changed on the test split, by output; nothing if it changed nothing."""
        found = self.metrics.get("calibration", {})
        rows = {"": found} if "temperature" in found else found
        lines = []
        for name, row in rows.items():
            if row["reason"]:
                continue
            changes = ", ".join(
                f"{title(metric)} {before:.3f} before, {row['test']['after'][metric]:.3f} after"
                for metric, before in row["test"]["before"].items()
                if metric in ("ece", "log_loss")
            )
            of = f" of {name}" if name else ""
            lines.append(f"Calibration{of}: {calibration_text(row)}; {changes}")
        return lines

    def _reject_lines(self) -> list[str]:
        """What is answered by unknown, by output."""
        found = self.metrics.get("reject", {})
        rows = {"": found} if "score" in found else found
        lines = []
        for name, row in rows.items():
            if row["threshold"] is None:
                continue
            test, of = row["test"], f" of {name}" if name else ""
            right = "" if test["accuracy"] is None else f", {test['accuracy']:.4f} of these right"
            lines.append(
                f"Unknown{of} by {row['score']}: {test['coverage']:.1%} of test accepted{right}"
            )
        return lines

    def _target_lines(self) -> list[str]:
        """What an adaptation gave on the target domain, beside the model without it."""
        found = self.metrics.get("adaptation")
        if not found:
            return []
        models = found.get("target", {})
        labelled = "labelled " if models else ""
        lines = [
            f"Target domain: {found['examples']:,} {labelled}examples; {found['method']}, "
            f"chosen by {found['choose_by']} without their labels"
        ]
        for name, value in found["values"].items():
            kept = ", kept" * (name == found["kept"])
            shown = f": {self._headline(models[name])}" if models else ""
            lines.append(f"  {name} ({value:.4g}{kept}){shown}")
        return lines

    def _headline(self, metrics: dict[str, Any]) -> str:
        """The main metrics of a baseline in a line."""
        if "error" in metrics:
            return "failed"
        known = dict.fromkeys(key for o in self.outputs.values() for key in o.objective.headline)
        shown = [key for key in known if metrics.get(key) is not None]
        return ", ".join(f"{title(key)} {metric_text(key, metrics[key])}" for key in shown)

    def test_metrics(self, output: str) -> dict[str, Any]:
        """The metrics of one output on the test split."""
        metrics = self.metrics["test"]
        return metrics if [*self.outputs] == [LABEL] else metrics[output]

    def simple_baseline(self, output: str) -> dict[str, Any]:
        """The metrics of one output's baseline that looks at no input."""
        baselines = self.metrics["baselines"]
        if [*self.outputs] == [LABEL]:
            return baselines.get(self.outputs[output].objective.baseline_name, {})
        return baselines["simple"][output]

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Rows of ``history.csv``, one per epoch: stage, epoch, metrics, learning rate."""
        path = self.folder / "history.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                header, *lines = read_cells(file)
                rows = [_epoch(dict(zip(header, row, strict=True))) for row in lines if row]
        except (*UNREADABLE, csv.Error) as error:
            raise damaged(path, error) from None
        if not rows:
            raise damaged(path, "it has no rows")
        return rows

    @cached_property
    def model(self) -> keras.Model:
        """The best model: from {"pixels": (batch, size, size, 3) RGB, 0..255} to {"label": logits}.

        Runs of version 1 have one tensor as input and as output instead of dicts.
        """
        from keras_transfer.networks.keras_files import load_keras

        verify_files(self.folder, self.metadata, ["best.keras"])
        return load_keras(self.folder / "best.keras")

    @cached_property
    def network(self) -> Network:
        """The best model and its parts, by name."""
        from keras_transfer.networks.network import Network

        return Network.of(self.model)

    @cached_property
    def loading(self) -> Loading:
        """Settings of loading this run's examples."""
        from keras_transfer.data.batches import Loading

        # The size comes from the model: image_size may be None in the settings.
        first, *_ = inputs = self.network.predictor.inputs
        given = read_input(self.settings["input"])
        names = [tensor.name for tensor in inputs]
        bound = given.bind_to(given.load(self.folder), first.shape[1], names)
        return Loading(bound, self.settings["batches"]["batch_size"])

    @property
    def split(self) -> Path:
        """The table of all examples of the run, with their splits."""
        return self.folder / "split.csv"

    def scores(self, samples: Samples) -> dict[str, np.ndarray]:
        """Scores of valid examples by the full network; see ``Predictor.scores``."""
        from keras_transfer.data.batches import plain_batches
        from keras_transfer.evaluation.inference import ACTIVATIONS, predict

        answered, batches = self.outputs, plain_batches(samples, self.loading)
        outputs = predict(self.network.predictor, batches, "predicting")
        scores = {
            name: ACTIVATIONS[output.objective.activation](outputs[name])
            for name, output in answered.items()
        }
        return scores | {name: outputs[name] for name in map(unknown_of, scores) if name in outputs}

    def listed(self, data: Any = None) -> tuple[Samples, dict[str, int]]:
        """List the examples of this run again; none is read.

        Args:
            data: A spec, or arrays; None: where they were in the run.

        Returns:
            All examples of these data, and the place of each among them by its path in
            ``split.csv``; of other data by its path there.

        Raises:
            BadData: They are not where they were, or were arrays.
        """
        spec: Any = self.settings["data"]["source"] if data is None else data
        if data is None and (what := "arrays" if spec is None else in_memory(str(spec))):
            raise BadData(f"The examples of the run in {self.folder} were {what}. {CURE}")
        where, before = self.settings["data"].get("data_dir"), ""
        began = Path(self.metadata.get("cwd", "."))  # what the run's paths are relative to
        if data is None and not path_of(spec).exists() and path_of(began / spec).exists():
            spec, before = str(began / spec), f"{began}{os.sep}"
        layout = self.settings["data"].get("layout", "auto") if data is None else "auto"
        found = self._with_targets(spec, Path(where) if where else None, layout)
        return found, {key.removeprefix(before): place for place, key in enumerate(found.keys)}

    def samples(self, splits: Sequence[str]) -> Samples:
        """Read the examples of this run again.

        Args:
            splits: Splits to read: "train", "val", "test".

        Returns:
            They, with the labels that they had in the run, in the order of ``split.csv``.

        Raises:
            BadData: They are not where they were, are other ones now, or were arrays.
        """
        from keras_transfer.data.scan import scan

        rows = [row for row in read_rows(self.split) if row["split"] in splits]
        found, places = self.listed()
        gone = [row["path"] for row in rows if row["path"] not in places]
        if gone:
            raise BadData(f"{len(gone)} examples of the run are missing. {CURE}", gone)
        found = found.take(np.array([places[row["path"]] for row in rows], int))
        # By content: a file of the same name may hold another example by now.
        digests = scan(found, self.loading.input.check, cache_dir()).digests
        other = [
            row["path"] for row, now in zip(rows, digests, strict=True) if now != row["digest"]
        ]
        if other:
            raise BadData(f"{len(other)} examples of the run have changed. {CURE}", other)
        table = [[row[name] for row in rows] for name in ("split", "group")]
        if not self._single_class:
            more: dict[str, Any] = {
                "splits": np.array(table[0], object),
                "groups": np.array(table[1], object),
            }
            return replace(found, digests=digests, **more)
        # From the table, not from the folders: files may have been moved to another class since.
        labels = [self.classes.index(row["label"]) for row in rows]
        return Samples.of(
            found.store,
            self.classes,
            found.keys,
            labels,
            rows=found.rows,
            splits=table[0],
            groups=table[1],
            digests=digests,
        )


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Check what a run is read by; in a run without checksums it may be damaged."""
    read_input(settings["input"])
    for group, name in (("data", "source"), ("batches", "batch_size"), ("backbone", "name")):
        if name not in settings[group]:
            raise KeyError(f"{group}.{name}")


def _epoch(row: dict[str, str]) -> dict[str, Any]:
    """A row of ``history.csv`` with its numbers."""
    numbers = {name: float(value) for name, value in row.items() if name not in ("stage", "epoch")}
    return {"stage": row["stage"], "epoch": int(row["epoch"]), **numbers}
