"""What helps the rare class: each value of the setting ``imbalance``, over several seeds.

``python -m benchmarks imbalance`` trains a linear head on MobileNetV2's real weights on trashnet,
whose six classes differ by 4.3 to 1. All runs share one cache of features, and take their turns in
one process. Differences to ``none`` are paired by seed, with Student's 95 % interval; an option
"helps" where that of the rarest class's recall lies above 0 and macro F1 is no lower on average.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks._child import SHARED, WEIGHTS
from benchmarks._report import paired, report, shown
from keras_transfer.objectives.imbalance import Imbalance

OPTIONS = tuple(one for one in get_args(Imbalance) if one != "auto")
METRICS = ("minority_recall", "macro_f1", "balanced_accuracy", "accuracy")
COLUMNS = ("imbalance", *METRICS, "recall - none", "F1 - none", "verdict")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks imbalance")
    parser.add_argument("--options", nargs="+", choices=OPTIONS, default=list(OPTIONS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    options = ["none", *(one for one in asked.options if one != "none")]
    with tempfile.TemporaryDirectory() as home:
        os.environ["KT_CACHE_DIR"] = str(Path(home) / "cache")
        found = trained(options, asked, Path(home))
    rows = [row(option, metrics, found["none"]) for option, metrics in found.items()]
    report("imbalance", COLUMNS, rows, options=vars(asked), runs=found)


def trained(
    options: list[str], asked: argparse.Namespace, home: Path
) -> dict[str, list[dict[str, float]]]:
    """Metrics of the test split for each option and seed."""
    from keras_transfer import Classify, Head, Stage

    logging.getLogger("keras_transfer").setLevel(logging.WARNING)
    recipe = Classify(
        data=str(SHARED / "data" / "trashnet"),
        backbone="mobilenet_v2",
        weights=str(WEIGHTS),
        head=Head(dropout=0.2),
        stages=(Stage("head", epochs=asked.epochs),),
    )
    found: dict[str, list[dict[str, float]]] = {option: [] for option in options}
    for seed in range(asked.seeds):
        for option in options:
            out = home / f"{option}-{seed}"
            run = recipe.run(out=out, name="imbalance", imbalance=option, seed=seed)
            found[option].append({name: run.metrics["test"][name] for name in METRICS})
            print(option, seed, found[option][-1], flush=True)
    return found


def row(option: str, metrics: list[dict[str, float]], plain: list[dict[str, float]]) -> list[Any]:
    means = [float(np.mean([one[name] for one in metrics])) for name in METRICS]
    recall, f1 = (
        paired([one[name] for one in metrics], [one[name] for one in plain]) for name in METRICS[:2]
    )
    return [option, *means, shown(recall), shown(f1), verdict(option, recall, f1)]


def verdict(option: str, recall: tuple[float, float], f1: tuple[float, float]) -> str:
    if option == "none":
        return "-"
    if recall[0] - recall[1] > 0:
        return "helps" if f1[0] >= 0 else "raises recall, costs macro F1"
    return "does not help" if recall[0] <= 0 else "no difference shown"


if __name__ == "__main__":
    main()
