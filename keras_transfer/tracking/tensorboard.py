"""What TensorBoard shows of a run besides the epochs, which Keras writes for it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.evaluation.prediction_files import Predicted, prediction_file
from keras_transfer.runs.run import Run
from keras_transfer.tracking.base import TrackedRun, Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TensorBoard"]

FOLDER = "tensorboard"
THRESHOLDS = 127
"""Number of thresholds of a precision-recall curve, from 0 to 1."""

MAX_CLASSES = 50
"""Most classes with a curve each, and in a readable confusion matrix."""


class TensorBoard(Tracker):
    """Test metrics, settings (HParams), precision-recall curves and confusion matrix.

    They are written into ``tensorboard/test/`` of the run directory at the end of the run;
    ``tensorboard --logdir runs`` compares runs.
    """

    run: TrackedRun

    def begin(self, run: TrackedRun, known: Mapping[str, str]) -> dict[str, str]:
        """See ``Tracker.begin``."""
        self.run = run
        return {"where": f"{run.folder / FOLDER}"}

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing: the trainer has Keras write it."""

    def finish(self, metrics: Mapping[str, float], files: list[Path]) -> None:
        """See ``Tracker.finish``."""
        import tensorflow as tf
        from tensorboard.plugins.hparams import api, summary
        from tensorboard.plugins.hparams.api_pb2 import Status

        writer = tf.summary.create_file_writer(str(self.run.folder / FOLDER / "test"))
        with writer.as_default(step=0):
            api.hparams({**self.run.parameters}, trial_id=self.run.name)
            for name, value in metrics.items():
                tf.summary.scalar(name, value)
            for output, predicted in _classified(Run(self.run.folder)):
                _write_curves(output, predicted)
                _write_confusion(output, predicted)
            _write(summary.session_end_pb(Status.STATUS_SUCCESS))
        writer.close()

    def stop(self, status: str) -> None:
        """Nothing: what Keras has written stays."""


def _classified(run: Run) -> Iterator[tuple[str, Predicted]]:
    """Outputs whose predictions are probabilities of classes or of labels."""
    if run.pretrained:
        return
    for name, output in run.outputs.items():
        if output.objective.type in ("classification", "multilabel"):
            path = run.folder / prediction_file("test", name)
            yield name, output.objective.read_predictions(path)


def _write_curves(output: str, predicted: Predicted) -> None:
    from tensorboard.plugins.pr_curve.summary import pb

    for unit, name in enumerate(predicted.names[:MAX_CLASSES]):
        true, known = _true_of(predicted, unit)
        if true.any():  # else recall is not defined
            curve = pb(f"{output}/{name}", true, predicted.scores[known, unit], THRESHOLDS)
            _write(curve)


def _true_of(predicted: Predicted, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """(known,) bool: which examples are of a class or have a label; (n,) bool: which are known."""
    if predicted.true.ndim == 1:
        known = predicted.true >= 0
        return predicted.true[known] == unit, known
    known = np.isfinite(predicted.true[:, unit])
    return predicted.true[known, unit] > 0, known


def _write_confusion(output: str, predicted: Predicted) -> None:
    """As a table, and as an image if Matplotlib is installed."""
    import tensorflow as tf
    from sklearn.metrics import confusion_matrix

    names, known = predicted.names, predicted.true >= 0
    if predicted.true.ndim != 1 or len(names) > MAX_CLASSES:  # labels do not exclude each other
        return
    units = range(len(names))
    decided = predicted.decided[known]
    counts = confusion_matrix(predicted.true[known], decided, labels=[*units])
    tf.summary.text(f"{output}/confusion_matrix", _as_markdown(counts, names))
    if find_spec("matplotlib") is not None:
        png = tf.image.decode_png(_as_png(counts, names))
        tf.summary.image(f"{output}/confusion_matrix_image", png[None])


def _as_markdown(counts: np.ndarray, names: tuple[str, ...]) -> str:
    cells = [name.replace("|", r"\|") for name in names]
    rows = [["true, predicted", *cells], ["---"] * (1 + len(names))]
    rows += [[name, *map(str, row)] for name, row in zip(cells, counts.tolist(), strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _as_png(counts: np.ndarray, names: tuple[str, ...]) -> bytes:
    from matplotlib.figure import Figure  # not pyplot: no window, no state shared with the user's

    size = min(3 + 0.4 * len(names), 16)
    figure = Figure(figsize=(size, size), dpi=100, layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        dark = shares[row, column] > 0.5
        axes.text(column, row, f"{count:,}", ha="center", color="white" if dark else "black")
    # A "$" would begin a formula.
    shown = [name.replace("$", r"\$") for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=90)
    axes.set_yticks(range(len(names)), shown)
    axes.set(xlabel="predicted", ylabel="true")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _write(summary: Any) -> None:
    import tensorflow as tf

    tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=0)
