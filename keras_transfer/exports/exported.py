"""An export, read back: what evaluates and predicts as the server will."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.config.upgrade import stored
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.exports.answers import Answers
from keras_transfer.exports.formats import PredictFunction, check_format
from keras_transfer.exports.integrity import METADATA, check_version, read_metadata
from keras_transfer.exports.versions import numbered
from keras_transfer.inputs.table import read_input
from keras_transfer.objectives.outputs import Outputs
from keras_transfer.objectives.rejection import unknown_of
from keras_transfer.runs import Predictor

if TYPE_CHECKING:
    from keras_transfer.data.batches import Loading

__all__ = ["METADATA", "Export"]


class Export(Predictor):
    """What ``kt-recipe export`` has written, in any format.

    Args:
        folder: Of a version (``DIR/<model>/<version>``), or of the model: its last version.

        trust: Load a model that has operators which no export of this package has. It can do
            whatever a program can.

    Raises:
        BadConfiguration: The folder holds no export, or its format needs what is not installed.
        BadData: ``export.json`` is damaged. The other files are compared with their checksums
            before they are first used.
    """

    def __init__(self, folder: str | Path, *, trust: bool = False):
        self.folder, self.trust = _version_in(Path(folder)), trust
        # A missing runtime is reported here, not at the first prediction.
        self.format = check_format(self.metadata["format"])

    def __repr__(self) -> str:
        return f"Export({str(self.folder)!r})"

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What ``export.json`` says: format, classes, input, parity, versions."""
        return read_metadata(self.folder)

    @cached_property
    def answers(self) -> Answers:
        """What the written graph returns for each output."""
        if "outputs" in self.metadata:
            return Answers.from_json(self.metadata["outputs"])
        return Answers.of_classes(self.metadata["classes"])  # version 1

    @property
    def outputs(self) -> Outputs:
        """What the network predicts, by the name of its output."""
        return self.answers.outputs

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the recipe as it was run."""
        return stored(self.metadata.get("settings") or self.metadata["knobs"])  # version 1

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics on the examples of the parity check, as "test"."""
        return {"test": self.metadata["test"]}

    @property
    def split(self) -> Path | None:
        """The table of the run that this comes from, if that is still where it was."""
        # An export may have been copied to another machine, where there is no run.
        split = Path(self.metadata["run"]) / "split.csv"
        return split if split.is_file() else None

    @property
    def loading(self) -> Loading:
        """How its examples become batches."""
        from keras_transfer.data.batches import Loading

        _ = self._checked
        given = read_input(self.settings["input"])
        state = given.load(self.folder / self.format.assets)
        inputs = self.metadata.get("input", {}).get("inputs", ())
        return Loading(given.bind_to(state, self.metadata.get("image_size", 0), inputs), 32)

    @cached_property
    def _predictor(self) -> PredictFunction:
        _ = self._checked
        return self.format.load_predictor(self.folder, self.loading)

    @cached_property
    def _checked(self) -> bool:
        """True; the files are checked once, before any of them is used."""
        check_version(self.folder, self.metadata, trust=self.trust)
        return True

    def scores(self, samples: Samples) -> dict[str, np.ndarray]:
        """Scores of valid examples, by the exported files alone; see ``Predictor.scores``."""
        found = self.answers.read(self._predictor(samples))
        scores = {name: given.scores for name, given in found.items()}
        for name, output in self.outputs.items():
            if output.objective.activation == "softmax":  # float32, and int8 more so, miss 1
                scores[name] = scores[name] / scores[name].sum(axis=-1, keepdims=True)
        unknown = {name: given.unknown for name, given in found.items()}
        return scores | {unknown_of(n): u[:, None] for n, u in unknown.items() if u is not None}


def _version_in(folder: Path) -> Path:
    if (folder / METADATA).is_file():
        return folder
    versions = [n for n in numbered(folder) if (folder / str(n) / METADATA).is_file()]
    if versions:
        return folder / str(versions[-1])
    models = [one for one in folder.glob("*") if numbered(one)] if folder.is_dir() else []
    if models:
        names = ", ".join(sorted(one.name for one in models))
        raise BadConfiguration(f"{folder} holds models, not a version. Name one: {names}.")
    raise BadConfiguration(
        f"{folder} is neither a run folder nor an export: there is no run.json or {METADATA} in it."
    )
