"""The table of formats: which module writes and reads each, and what it can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.tables import Table

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from keras_transfer.data.batches import Loading
    from keras_transfer.data.samples import Samples
    from keras_transfer.exports.source import Source

__all__ = [
    "FORMATS",
    "QUANTIZATIONS",
    "Format",
    "PredictFunction",
    "check_curves",
    "check_format",
    "check_input",
]

PredictFunction = Callable[["Samples"], "Mapping[str, np.ndarray]"]
"""Maps n valid examples to what the graph returns for them, by the names of its tensors."""

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")


@dataclass(frozen=True)
class Format:
    """A way to keep a model in files.

    Attributes:
        module: Has ``write(folder, source, quantize)`` and ``load_predictor(folder, loading)``.
        quantizations: What it can do to the weights, of ``QUANTIZATIONS``.
        packages: What must be installed.
        extra: Of this package, that installs them.
        assets: Folder of the files of ``BoundInput.write_assets``, inside the version's.
    """

    # A name, imported on use: a missing package of one format must not break the others.
    module: str
    quantizations: tuple[str, ...] = ("none",)
    packages: tuple[str, ...] = ()
    extra: str = ""
    assets: str = ""

    def write(self, folder: Path, source: Source, quantize: str) -> None:
        """Write the model into an empty folder."""
        import_module(self.module).write(folder, source, quantize)

    def load_predictor(self, folder: Path, loading: Loading) -> PredictFunction:
        """Read the model back, by nothing but what is in the folder.

        Raises:
            BadData: It cannot be loaded.
        """
        return import_module(self.module).load_predictor(folder, loading)


FORMATS: Table[Format] = Table(
    "format",
    {
        "saved_model": Format("keras_transfer.exports.saved_model", assets="assets"),
        "litert": Format(
            "keras_transfer.exports.litert", QUANTIZATIONS, ("ai_edge_litert",), "litert"
        ),
        "onnx": Format(
            "keras_transfer.exports.onnx", packages=("tf2onnx", "onnxruntime"), extra="onnx"
        ),
        "keras": Format("keras_transfer.exports.keras_file"),
    },
)


def check_input(kind: str, quantize: str) -> None:
    """Make sure that a model of images or texts can be quantized so.

    Args:
        kind: Name of the input: "image", "text", "text_pair".
        quantize: One of ``QUANTIZATIONS``.

    Raises:
        BadConfiguration: It cannot.
    """
    if kind.startswith("text") and quantize == "int8":
        raise BadConfiguration(
            "--quantize int8 is for models of images: it rounds every activation, which changes "
            "the probabilities of a text by tenths. Take --quantize dynamic, whose files are as "
            "small, or float16."
        )


def check_curves(calibration: Mapping[str, Any], quantize: str) -> None:
    """Make sure that the curves of labels can be quantized so.

    Args:
        calibration: Of a run's ``metrics.json``: one, or by output; empty: none.
        quantize: One of ``QUANTIZATIONS``.

    Raises:
        BadConfiguration: They cannot.
    """
    rows = {"": calibration} if "temperature" in calibration else calibration
    curved = [name for name, row in rows.items() if row.get("fitted") == "isotonic"]
    if curved and quantize == "int8":
        of = f" of the output {curved[0]}" if curved[0] else ""
        raise BadConfiguration(
            f"--quantize int8 is not for the isotonic curves{of}: it rounds logits to 256 values, "
            "while their jumps take a thousandth of a standard deviation. Take --quantize float16 "
            "or dynamic, or train with --calibrate temperature."
        )


def check_format(name: str, quantize: str = "none") -> Format:
    """Look a format up, and make sure that it can be written here.

    Raises:
        UnknownName: There is no such format or quantization.
        BadConfiguration: The format does not have this quantization, or a package is missing.
    """
    row = FORMATS[name]
    if quantize not in QUANTIZATIONS:
        raise UnknownName("quantization", quantize, QUANTIZATIONS)
    if quantize not in row.quantizations:
        able = [name for name, one in FORMATS.items() if quantize in one.quantizations]
        raise BadConfiguration(
            f"The format {name} has no quantization {quantize!r}. Take --format {able[0]}, or "
            "leave --quantize out."
        )
    missing = [package for package in row.packages if find_spec(package) is None]
    if missing:
        raise BadConfiguration(
            f"The format {name} needs {' and '.join(missing)}: "
            f"pip install 'keras_transfer[{row.extra}]'."
        )
    return row
