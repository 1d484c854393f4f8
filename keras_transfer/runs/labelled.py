"""Labelled examples for a network that is trained already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.inputs.table import read_input
from keras_transfer.objectives.outputs import Output, encode, single_class
from keras_transfer.runs.alignment import at_tokens

if TYPE_CHECKING:
    from keras_transfer.data.batches import Loading

__all__ = ["with_targets"]


class _Trained(Protocol):
    """What is known of a trained network; see ``Predictor``."""

    @property
    def outputs(self) -> Mapping[str, Output]: ...

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def loading(self) -> Loading: ...


def with_targets(data: Any, data_dir: Path | None, trained: _Trained, *, layout: str) -> Samples:
    """Read labelled examples, with the targets of a network's outputs.

    Args:
        data: A spec or arrays.
        data_dir: Where TFDS data sets lie.
        trained: The network: its outputs, and how its examples are read.
        layout: As for ``sources.read``.

    Raises:
        BadData: The data cannot be read, or have labels that the network does not know.
    """
    from keras_transfer.data import sources

    how: dict[str, Any] = {"layout": layout}
    how["texts"] = read_input(trained.settings["input"]).text_columns
    how["label"] = trained.settings["data"].get("label_column", LABEL)
    objectives = {name: output.objective for name, output in trained.outputs.items()}
    if single_class(objectives):
        (output,) = trained.outputs.values()
        return sources.read(data, data_dir, known=output.names, **how)
    columns = [column for name, one in objectives.items() for column in one.reads(name)]
    read = sources.read(data, data_dir, columns=dict.fromkeys(columns), **how)
    samples = encode(read, objectives, {n: output.names for n, output in trained.outputs.items()})
    if not any(objective.per_token for objective in objectives.values()):
        return samples  # without loading the network for its input
    return at_tokens(samples, objectives, trained.loading.input)
