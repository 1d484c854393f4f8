"""Python and the installed packages, against what this package asks for."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement  # which Keras depends on
from packaging.specifiers import SpecifierSet

from keras_transfer.doctor.finding import Finding, note, ok, problem

__all__ = ["check_extras", "check_packages", "check_python"]

NAME = "keras_transfer"
SHOWN = ("tensorflow", "keras", "numpy", "scikit-learn")
EXTRAS = {
    "openvino": "features on CPUs several times as fast",
    "report": "report.html of each run",
    "hub": "backbones and text networks of KerasHub",
    "litert": "exports to LiteRT",
    "onnx": "exports to ONNX",
    "serve": "kt-recipe serve",
    "tune": "kt-recipe tune",
    "plots": "PNG files",
    "smote": "imbalance = smote",
    "parquet": "manifests in Parquet",
    "mlflow": "kt-recipe run --track mlflow",
    "wandb": "kt-recipe run --track wandb",
}
"""What each extra brings."""


def check_python() -> Iterator[Finding]:
    """The version of Python."""
    wanted, found = metadata(NAME)["Requires-Python"], platform.python_version()
    if wanted and not SpecifierSet(wanted).contains(found, prereleases=True):
        yield problem("python", f"Python {found}, not {wanted}", "Install another Python.")
    else:
        yield ok("python", f"Python {found}")


def check_packages() -> Iterator[Finding]:
    """The packages that every command needs."""
    wrong = [text for row in _requirements()[""] if (text := _wrong(row))]
    shown = ", ".join(f"{name} {version(name)}" for name in SHOWN if _installed(name))
    if wrong:
        yield problem("packages", "; ".join(wrong), f"pip install --upgrade {NAME}")
    else:
        yield ok("packages", shown)


def check_extras() -> Iterator[Finding]:
    """The packages of each extra: all there, none, or some in the wrong version."""
    by_extra = _requirements()
    for extra, brings in EXTRAS.items():
        rows, cure = by_extra[extra], f"pip install '{NAME}[{extra}]'"
        missing = [row.name for row in rows if not _installed(row.name)]
        wrong = [text for row in rows if (text := _wrong(row))]
        if missing:
            text = f"{', '.join(missing)} not installed, for {brings}"
            yield note(f"extra {extra}", text, cure)
        elif wrong:
            yield problem(f"extra {extra}", "; ".join(wrong), cure)
        elif rows:
            yield ok(f"extra {extra}", brings)


def _requirements() -> dict[str, list[Requirement]]:
    """What applies on this machine, by the extra that brings it; "": always."""
    found: dict[str, list[Requirement]] = defaultdict(list)
    for text in requires(NAME) or ():
        row = Requirement(text)
        for extra in ("", *EXTRAS):
            if row.marker is None or row.marker.evaluate({"extra": extra}):
                found[extra].append(row)
                break
    return found


def _wrong(row: Requirement) -> str:
    """What is wrong with a requirement, or ""."""
    if not _installed(row.name):
        return f"{row.name} is not installed"
    found = version(row.name)
    fits = row.specifier.contains(found, prereleases=True)
    return "" if fits else f"{row.name} {found} is installed, not {row.specifier}"


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
