"""What accuracy costs: an image seen as it is, in a few augmented views, or anew every epoch.

``python -m benchmarks views`` trains recipe mobilenet_v2_catsdogs on cats_dogs and on trashnet
with MobileNetV2's real weights, over several seeds. The modes take turns within a seed, and
share their caches over the seeds: the first seed's seconds are with an empty cache.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks._child import SHARED, WEIGHTS, Child, run_recipe, setting
from benchmarks._report import report

MODES = ("clean", "2", "4", "8", "fresh")
DATA: dict[str, dict[str, Any]] = {  # what is changed in the recipe's augmentation
    "cats_dogs": {},
    "trashnet": {"horizontal_flip": True, "rotation_range": 15, "zoom_range": 0.15},
}
COLUMNS = ("data", "views", "accuracy", "spread", "least", "most", "first s", "later s")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks views")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--modes", nargs="+", default=list(MODES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of each stage; the recipe's own by default")
    parser.add_argument("--limit", type=int, help="of the images, for a trial")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    rows, runs = [], {}
    for data in asked.data:
        with tempfile.TemporaryDirectory() as home:
            found = trained(data, asked, Path(home))
        rows += [row(data, mode, children) for mode, children in found.items()]
        runs[data] = {mode: [as_json(one) for one in found[mode]] for mode in found}
    report("views", COLUMNS, rows, options=vars(asked), runs=runs)


def trained(data: str, asked: argparse.Namespace, home: Path) -> dict[str, list[Child]]:
    """A run for each mode and seed."""
    options = ["--data", SHARED / "data" / data, "--weights", WEIGHTS]
    options += setting("augment", DATA[data]) if DATA[data] else []
    options += setting("stages.0.optimizer.solver", None)  # views are for epochs of training
    for name in ("epochs", "limit"):
        value = getattr(asked, name)
        options += [f"--{name}", str(value)] if value else []
    found: dict[str, list[Child]] = {mode: [] for mode in asked.modes}
    for seed in range(asked.seeds):
        for mode, children in found.items():
            words = [*options, "--views", mode, "--seed", str(seed)]
            child = run_recipe("mobilenet_v2_catsdogs", home, f"{mode}-{seed}", *words)
            children.append(child)
            print(f"{data} {mode} seed {seed}: {accuracy(child):.4f}", flush=True)
    return found


def accuracy(child: Child) -> float:
    return child.document["metrics"]["test"]["accuracy"]


def as_json(child: Child) -> dict[str, Any]:
    return {"accuracy": accuracy(child), "seconds": child.seconds, "epochs": child.epochs}


def row(data: str, mode: str, children: list[Child]) -> list[Any]:
    found = [accuracy(one) for one in children]
    spread = statistics.stdev(found) if len(found) > 1 else None
    later = [one.seconds for one in children[1:]]
    seconds = [children[0].seconds, statistics.median(later) if later else None]
    return [data, mode, statistics.mean(found), spread, min(found), max(found), *seconds]


if __name__ == "__main__":
    main()
