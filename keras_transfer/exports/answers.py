"""What an exported graph returns for each output of a network, the same in every format.

============== ============================================ ==========================
objective      from raw examples (``served``)               by unit (``by_unit``)
============== ============================================ ==========================
classification ``classes``, ``probabilities``: best first;  ``probabilities``; with a
               ``scores``: by class                         threshold ``decided``
multilabel     ``labels``, ``probabilities``, ``decided``:  ``probabilities``,
               best first; ``scores``: by label             ``decided``
regression     ``values``: by target                        ``values``
tokens         ``labels``, ``probabilities``, ``starts``,   ``probabilities``
               ``ends``: by word; ``scores``: by token
============== ============================================ ==========================

Where a classification may answer unknown, ``unknown`` (n,) is its score: above 0.5 the example is
rejected. ``classes`` and ``probabilities`` then have one column more: "unknown" with that score,
first where it is the answer, last otherwise, so that the first class is always the answer.

Where a classification has a threshold, the first class is the answer by it, and ``probabilities``
need not be sorted.

``by_unit`` is what files that take prepared inputs return: LiteRT, ONNX, Keras. Thresholds of
labels are constants of the graph. Where the outputs have names of their own, each tensor's name
begins with that of its output: ``price_values``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadData
from keras_transfer.objectives import outputs as output_files
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.outputs import Output, Outputs, single_class
from keras_transfer.objectives.rejection import UNKNOWN, unknown_of

__all__ = ["Answer", "Answers", "Given", "Tensors"]

Tensors = dict[str, Any]
"""By name: TensorFlow's or Keras's tensors in a graph, arrays outside of it."""

ASSET = "outputs.json"
CLASSES = "classes.json"
"""Names of files inside a SavedModel."""


SCORES = ("values", "scores", "probabilities")
"""Where scores by unit are; ``probabilities`` beside ``scores`` are sorted."""

TENSORS = (*SCORES, "classes", "labels", "decided", UNKNOWN)


class Given(NamedTuple):
    """What a graph has returned for one output.

    Attributes:
        scores: (n, units) float64 probabilities, or values in the units of the data.
        decided: (n, units) bool in the order of the labels, or of the classes that have a
            threshold; None for other outputs.
        unknown: (n,) float64 score of unknown; None where that is no answer.
    """

    scores: np.ndarray
    decided: np.ndarray | None = None
    unknown: np.ndarray | None = None


@dataclass(frozen=True)
class Answer:
    """What a graph returns for one output.

    Attributes:
        name: Of the network's output.
        output: What is predicted, and how it is decided.
        prefix: Begins the name of each of its tensors.
    """

    name: str
    output: Output
    prefix: str = ""

    @property
    def activation(self) -> str:
        """softmax, sigmoid or linear."""
        return self.output.objective.activation

    @property
    def scores_name(self) -> str:
        """Name of the tensor of scores alone, as the signature ``forward`` returns it."""
        return self.prefix + ("values" if self.activation == "linear" else "scores")

    @property
    def rejects(self) -> bool:
        """Whether unknown is an answer."""
        return "reject" in self.output.decision

    def served(self, scores: Any, unknown: Any = None) -> Tensors:
        """What servers return for (n, units) float32 scores; TensorFlow's.

        Args:
            scores: Of the output.
            unknown: (n, 1) float32 score of unknown, where that is an answer.
        """
        from keras_transfer.exports.layouts import SERVED, with_unknown

        found = SERVED[self.activation](self.output, scores)
        return self._named(found if unknown is None else with_unknown(found, unknown))

    def by_unit(self, scores: Any, unknown: Any = None) -> Tensors:
        """What files that take prepared inputs return; takes the arguments of ``served``."""
        from keras_transfer.exports.layouts import BY_UNIT

        found = BY_UNIT[self.activation](self.output, scores)
        return self._named(found if unknown is None else {**found, UNKNOWN: unknown[:, 0]})

    def _named(self, tensors: Tensors) -> Tensors:
        return {f"{self.prefix}{name}": tensor for name, tensor in tensors.items()}

    def read(self, found: Mapping[str, np.ndarray]) -> Given:
        """Find the scores in what ``served``, ``by_unit`` or ``forward`` returned.

        Args:
            found: (n, ...) arrays by name; scores are (n, units) float32.

        Raises:
            BadData: They are not there.
        """
        own = {name: found.get(self.prefix + name) for name in TENSORS}
        scores = next((own[name] for name in SCORES if own[name] is not None), None)
        each = 2 if self.output.objective.per_token else 1  # axes before those of the units
        if scores is None or scores.shape[each:] != (len(self.output.names),):
            raise BadData(
                f"The export returns no scores of the output {self.name!r}; it returns "
                f"{', '.join(f'{name} {array.shape}' for name, array in found.items())}."
            )
        unknown = own[UNKNOWN]
        if self.rejects and unknown is None:
            raise BadData(f"The export returns no score of unknown for the output {self.name!r}.")
        return Given(
            np.asarray(scores, "float64"),
            None if each == 2 else self._decided(own),
            None if unknown is None else np.asarray(unknown, "float64").reshape(len(scores)),
        )

    def _decided(self, own: Mapping[str, np.ndarray | None]) -> np.ndarray | None:
        decided, labels, classes = own["decided"], own["labels"], own["classes"]
        if classes is not None and "threshold" in self.output.decision:
            names = np.array([name.encode() for name in self.output.names], object)
            return np.asarray(classes)[:, :1] == names  # the first one is the answer
        # Without names the decisions are in the order of the labels already.
        if decided is None or labels is None:
            return decided
        place = {name.encode(): number for number, name in enumerate(self.output.names)}
        # Served labels come best first, so each row has an order of its own.
        found = np.zeros(decided.shape, bool)
        columns = np.array([[place[label] for label in row] for row in labels.tolist()])
        np.put_along_axis(found, columns, decided, axis=1)
        return found


class Answers:
    """What a graph returns for all outputs of a network.

    Args:
        outputs: By name.
        prefixes: Of the names of tensors, by output; None: made of the outputs' names.
    """

    def __init__(self, outputs: Outputs, prefixes: Mapping[str, str] | None = None):
        prefixes = _prefixes(outputs) if prefixes is None else prefixes
        self.outputs = outputs
        self.rows = tuple(Answer(name, output, prefixes[name]) for name, output in outputs.items())

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.rows)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes of the only classification; None for anything else."""
        objectives = {name: output.objective for name, output in self.outputs.items()}
        return self.outputs[LABEL].names if single_class(objectives) else None

    @property
    def of_words(self) -> Output | None:
        """The output that labels words, which is the only one; None for anything else."""
        return next((one for one in self.outputs.values() if one.objective.per_token), None)

    def scores(self, outputs: Mapping[str, Any]) -> Tensors:
        """(n, units) float32 scores by the name of the output, of what a network returns."""
        found = {row.name: row.output.objective.scores(outputs[row.name]) for row in self.rows}
        rejecting = [unknown_of(row.name) for row in self.rows if row.rejects]
        return found | {name: outputs[name] for name in rejecting}

    def alone(self, scores: Mapping[str, Any]) -> Tensors:
        """What ``forward`` returns: the scores, named as tensors; (n, 1) of unknown."""
        return {tensor: scores[name] for name, tensor, _ in self.columns}

    @property
    def columns(self) -> list[tuple[str, str, int]]:
        """Of each tensor of ``alone``: name among the scores, name of the tensor, and width."""
        found = []
        for row in self.rows:
            found.append((row.name, row.scores_name, len(row.output.names)))
            if row.rejects:
                found.append((unknown_of(row.name), f"{row.prefix}{UNKNOWN}", 1))
        return found

    def served(self, scores: Mapping[str, Any]) -> Tensors:
        """What servers return; see the module."""
        return _merged(
            row.served(scores[row.name], scores.get(unknown_of(row.name))) for row in self.rows
        )

    def by_unit(self, scores: Mapping[str, Any]) -> Tensors:
        """What files that take prepared inputs return; see the module."""
        return _merged(
            row.by_unit(scores[row.name], scores.get(unknown_of(row.name))) for row in self.rows
        )

    def read(self, found: Mapping[str, np.ndarray]) -> dict[str, Given]:
        """Scores and decisions by the name of the output; see ``Answer.read``."""
        return {row.name: row.read(found) for row in self.rows}

    def to_json(self) -> dict[str, Any]:
        """As ``objectives.outputs.to_json``, with the prefix of each output."""
        found = output_files.to_json(self.outputs)
        return {row.name: {**found[row.name], "prefix": row.prefix} for row in self.rows}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Answers:
        """Read what ``to_json`` returned."""
        prefixes = {name: row["prefix"] for name, row in content.items()}
        return cls(output_files.from_json(content), prefixes)

    @classmethod
    def of_classes(cls, classes: list[str]) -> Answers:
        """Those of exports of version 1: one classification."""
        return cls({LABEL: Output(Classification(), tuple(classes))})

    def write_assets(self, folder: Path) -> list[Path]:
        """Write what travels inside a SavedModel; returns the files."""
        contents: dict[str, Any] = {ASSET: self.to_json()}
        if self.classes is not None:
            # Also by itself, for clients that read exports of version 1.
            contents[CLASSES] = self.classes
        for name, content in contents.items():
            text = json.dumps(content, ensure_ascii=False, indent=1)
            (folder / name).write_text(text, encoding="utf-8")
        return [folder / name for name in contents]

    @classmethod
    def from_assets(cls, folder: Path) -> Answers:
        """Read what ``write_assets`` wrote, or ``classes.json`` of version 1.

        Raises:
            OSError: Neither is there.
        """
        if (folder / ASSET).is_file():
            return cls.from_json(json.loads((folder / ASSET).read_text(encoding="utf-8")))
        return cls.of_classes(json.loads((folder / CLASSES).read_text(encoding="utf-8")))


def _merged(parts: Iterator[Tensors]) -> Tensors:
    return {name: tensor for part in parts for name, tensor in part.items()}


def _prefixes(outputs: Outputs) -> dict[str, str]:
    """Beginnings of tensor names: letters, digits and _ alone, a different one each.

    None ends as another one and a word of ``TENSORS``, for these words have no _ inside.
    """
    # No prefix for a single output: `probabilities`, as in version 1.
    if [*outputs] == [LABEL]:
        return {LABEL: ""}
    found: dict[str, str] = {}
    for name in outputs:
        # Names of columns may be any text; those of tensors in a signature may not.
        safe = re.sub(r"[^A-Za-z0-9_]", "_", name)
        safe = safe if re.match(r"[A-Za-z]", safe) else f"output_{safe.strip('_')}".rstrip("_")
        number, prefix = 1, f"{safe}_"
        # "size (m)" and "size [m]" would become the same name.
        while prefix in found.values():
            number += 1
            prefix = f"{safe}_{number}_"
        found[name] = prefix
    return found
