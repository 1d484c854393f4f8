"""Commands run as a user runs them: in a process of their own, with caches of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("KT_SHARED", ROOT.parent / "shared"))
WEIGHTS = SHARED / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5"
KT_RECIPE = str(Path(sys.executable).with_name("kt-recipe"))

EPOCH = re.compile(r"(\S+) (\d+)/\d+  .*\(([\d.]+) s\)$")
"""The line of an epoch on stderr: stage, number, seconds."""


class Epoch(NamedTuple):
    """One line of progress: which epoch, how long it took, when it came after the start."""

    stage: str
    number: int
    seconds: float
    arrival: float


class Child(NamedTuple):
    """A command that has ended.

    Attributes:
        seconds: From its start to its exit.
        peak: The most memory that it, or the largest of its own children, held; in bytes.
        stdout: What it printed.
        epochs: Its epochs, as far as it told of any.
    """

    seconds: float
    peak: int
    stdout: str
    epochs: list[Epoch]

    @property
    def document(self) -> Any:
        """The JSON in the last line that it printed."""
        return json.loads(self.stdout.splitlines()[-1])


def run(command: Sequence[str | Path], home: Path) -> Child:
    """Run a command to its end, with its caches below ``home``.

    The caller should be small itself: until the child starts its program, it counts as large as
    the process that it comes from.

    Raises:
        SystemExit: The command failed; says the end of what it wrote.
    """
    environment = {
        **os.environ,
        "KT_CACHE_DIR": str(home / "cache"),
        "KERAS_HOME": str(home / "keras"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with tempfile.TemporaryFile("w+") as stdout:
        began = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            text=True,
        )
        assert process.stderr is not None
        lines = [(time.perf_counter() - began, line.rstrip()) for line in process.stderr]
        _, status, usage = os.wait4(process.pid, 0)  # wait() would not tell this child's memory
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        if process.returncode:
            last = "\n".join(line for _, line in lines[-15:])
            sys.exit(f"{' '.join(process.args)}\nfailed ({process.returncode}):\n{last}")
        return Child(seconds, usage.ru_maxrss * 1024, stdout.read(), _epochs(lines))


def _epochs(lines: Sequence[tuple[float, str]]) -> list[Epoch]:
    found = ((arrival, EPOCH.match(line)) for arrival, line in lines)
    return [
        Epoch(match[1], int(match[2]), float(match[3]), arrival)
        for arrival, match in found
        if match
    ]


def run_recipe(name: str, home: Path, out: str, *options: str | Path) -> Child:
    """``kt-recipe run NAME --json``, with the run folder ``out`` below ``home``."""
    return run([KT_RECIPE, "run", name, "--json", "--out", home / out, *options], home)


def setting(name: str, value: Any) -> list[str]:
    """The words that give any setting a value; JSON is YAML too."""
    return ["--set", f"{name}={json.dumps(value)}"]
