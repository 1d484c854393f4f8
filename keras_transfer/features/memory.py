"""What was measured on this machine, kept for later runs."""

from __future__ import annotations

import json
import logging
import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_transfer.atomic import write_json
from keras_transfer.cache import set_aside
from keras_transfer.checksums import sha256_of_document

__all__ = ["Memory", "machine"]

logger = logging.getLogger("keras_transfer")


class Memory:
    """A file of measurements, with a checksum.

    Args:
        path: It and its folder need not exist.
        what: What is done where the file is damaged, for the message.
    """

    def __init__(self, path: Path, what: str):
        self.path, self.what = path, what

    def recall(self, key: str) -> dict[str, Any] | None:
        """What is known for a key, or None."""
        return self._read().get(key)

    def remember(self, key: str, value: dict[str, Any]) -> None:
        """Keep a JSON-ready value; a file that cannot be written is no error."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Read again here: another run may have added its own since.
            choices = {**self._read(), key: value}
            write_json(self.path, {"sha256": sha256_of_document(choices), "choices": choices})
        except OSError as error:
            logger.debug("%s cannot be written: %s", self.path, error)

    def _read(self) -> dict[str, dict[str, Any]]:
        """All that is known; a damaged file is set aside."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return {}
        try:
            kept = json.loads(content)
            if kept["sha256"] == sha256_of_document(kept["choices"]):
                return kept["choices"]
        except (ValueError, LookupError, TypeError, RecursionError):
            pass  # not even JSON, or not ours
        with suppress(OSError):
            set_aside(self.path, "its content does not match its checksum", self.what)
        return {}


def machine() -> str:
    """What speed depends on besides the network: processors and package versions."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            processor = next(line for line in file if "model name" in line).split(":")[1].strip()
    except (OSError, StopIteration):
        pass
    gpus = len(tf.config.list_physical_devices("GPU"))
    packages = [f"{name} {_version(name)}" for name in ("tensorflow", "keras", "openvino")]
    return ", ".join([f"{os.cpu_count()} x {processor}", f"{gpus} GPUs", *packages])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
