"""How long the command takes to answer, and to get to the first step of a training.

``python -m benchmarks startup``: each command in a new process, all taking turns; medians. The
first step: when the line of the first epoch comes, less the seconds of the epoch itself, with an
empty cache and with what that run has cached.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks._child import KT_RECIPE, SHARED, WEIGHTS, Child, run, run_recipe, setting
from benchmarks._report import report

COMMANDS = {
    "python -c 'import tensorflow, keras'": [sys.executable, "-c", "import tensorflow, keras"],
    "python -c 'import keras_transfer'": [sys.executable, "-c", "import keras_transfer"],
    "kt-recipe --help": [KT_RECIPE, "--help"],
    "kt-recipe list": [KT_RECIPE, "list"],
}
COLUMNS = ("what", "median s", "least s", "most s")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup")
    parser.add_argument("--turns", type=int, default=7, help="of the commands")
    parser.add_argument("--runs", type=int, default=3, help="with an empty cache, and with a full")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "cats_dogs")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as home:
        run(COMMANDS["python -c 'import tensorflow, keras'"], Path(home))  # files into memory
        for _ in range(asked.turns):
            for what, command in COMMANDS.items():
                seconds.setdefault(what, []).append(run(command, Path(home)).seconds)
    for _ in range(asked.runs):
        with tempfile.TemporaryDirectory() as home:
            for what in ("empty", "full"):
                found = first_step(train(Path(home), what, asked.data))
                seconds.setdefault(f"first step of training, {what} cache", []).append(found)
    rows = [[what, statistics.median(one), min(one), max(one)] for what, one in seconds.items()]
    options = {name: str(value) for name, value in vars(asked).items()}
    report("startup", COLUMNS, rows, options=options, seconds=seconds)


def train(home: Path, out: str, data: Path) -> Child:
    """The head of recipe mobilenet_v2_catsdogs, for one epoch."""
    head = {"name": "head", "epochs": 1, "learning_rate": 1e-3}
    options = ["--data", data, "--weights", WEIGHTS, *setting("stages", [head])]
    return run_recipe("mobilenet_v2_catsdogs", home, out, *options)


def first_step(child: Child) -> float:
    return child.epochs[0].arrival - child.epochs[0].seconds


if __name__ == "__main__":
    main()
