"""``export.json``, and whether an export is what was written: schema, checksums, operators."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from keras_transfer import checksums
from keras_transfer.config.upgrade import upgraded
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.exports.foreign import check_operators
from keras_transfer.exports.formats import FORMATS
from keras_transfer.inputs.table import read_input
from keras_transfer.objectives import outputs
from keras_transfer.reports.writing import CARD

__all__ = ["METADATA", "check_saved_model", "check_version", "read_metadata", "with_checksums"]

METADATA = "export.json"
EVALUATIONS = "evaluations"
"""Folder in an export to which ``evaluate`` adds later."""

BEFORE_CHECKSUMS = frozenset(
    ("input", "name", "parity", "quantize", "recipe", "resize", "versions", "written")
)
"""What else ``export.json`` said before there were checksums."""

logger = logging.getLogger("keras_transfer")


class _Metadata(BaseModel):
    """What is read of ``export.json``; the second of two names is that of version 1."""

    model_config = ConfigDict(strict=True, extra="allow")

    format: str
    run: str
    test: dict[str, Any]
    image_size: int = 0
    classes: list[str] = []
    outputs: dict[str, dict[str, Any]] = {}
    settings: dict[str, Any] = {}
    knobs: dict[str, Any] = {}
    checksums: dict[str, str] | None = None

    @model_validator(mode="after")
    def _without_checksums(self) -> _Metadata:
        """A flipped bit in the name ``checksums`` must not make an old export of a new one."""
        other = set(self.model_extra or ()) - BEFORE_CHECKSUMS
        if self.checksums is None and other:
            raise ValueError(f"no export without checksums has {', '.join(sorted(other))}")
        return self


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read ``export.json``, and compare it with its schema and its own checksum.

    Raises:
        BadData: It cannot be read, or has changed.
        BadConfiguration: A later version of this package has written it.
    """
    file = folder / METADATA
    with _reading(file):
        found = json.loads(file.read_text(encoding="utf-8"))
        known = _Metadata.model_validate(found)
        _ = FORMATS[known.format]
        checksums.check_document(file, found)
    # Outside: a later version is no damage.
    settings = upgraded(known.settings or known.knobs)
    with _reading(file):
        read_input(settings["input"])
        if not outputs.from_json(known.outputs) and not known.classes:
            raise ValueError("it names neither outputs nor classes")
    return found


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Name a file whose content is not what it should be."""
    try:
        yield
    except BadData:
        raise
    except (
        *(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
        BadConfiguration,
    ) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadData(f"{file} cannot be read: {said:.300}") from None


def with_checksums(metadata: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Metadata with checksums of themselves and of the files of a folder."""
    return checksums.sealed(metadata, METADATA, checksums.files_of(folder, {METADATA}))


def check_version(folder: Path, metadata: Mapping[str, Any], *, trust: bool) -> None:
    """Check the files of a version before any of them is used.

    Args:
        folder: Of the version.
        metadata: Its ``export.json``.
        trust: Whether the model may have any operators.

    Raises:
        BadData: A file has changed, is missing or was added, or the model has operators that no
            export of this package has.
    """
    expected = checksums.check_document(folder / METADATA, metadata)
    if expected is None:
        _warn(folder)
    else:
        checksums.verify(folder, expected, leave_out={METADATA, EVALUATIONS, CARD})
    if not trust:
        check_operators(folder, metadata["format"])


def check_saved_model(folder: Path, *, trust: bool) -> None:
    """As ``check_version``, for a SavedModel that need not come from this package.

    Raises:
        BadData: It is not what was written, or has operators that no export of this package has.
    """
    if (folder / METADATA).is_file():
        check_version(folder, {**read_metadata(folder), "format": "saved_model"}, trust=trust)
        return
    _warn(folder)
    if not trust:
        check_operators(folder, "saved_model")


def _warn(folder: Path) -> None:
    logger.warning(
        "Warning: the export in %s has no checksums, so damage to its files would go unnoticed. "
        "Exports that are written now have them.",
        folder,
    )
