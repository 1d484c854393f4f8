"""What the rules of ``lr-find`` are worth: their rates against a row of rates, each trained with.

``python -m benchmarks lr_find`` takes the small MobileNetV2 (alpha 0.35) with real weights, three
sets of images, two optimizers and two heads. For each it trains at seven rates from 1e-4 to 0.1,
sweeps by three seeds, and trains at the rate that each rule suggests. What counts is the log loss
of the test split against that of the best of the seven rates, which were chosen by the same part:
1 is as good as somebody who tries seven rates and looks at the answers.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._child import SHARED
from benchmarks._report import report
from benchmarks.settings import DATA

SETS = ("cats_dogs 200", "trashnet", "cifar10")
HEADS = ((), (256,))
OPTIMIZERS = ("adam", "sgd")
GRID = [float(f"{rate:.3g}") for rate in np.geomspace(1e-4, 1e-1, 7)]
SMALL = SHARED / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks lr_find")
    parser.add_argument("--seeds", type=int, default=3, help="sweeps of each setting")
    parser.add_argument("--home", type=Path, help="where runs and features stay")
    return parser.parse_args()


def main() -> None:
    from keras_transfer.training.lr_finder import RULES

    asked = arguments()
    logging.getLogger("keras_transfer").setLevel(logging.WARNING)
    found = {}
    with tempfile.TemporaryDirectory() as beside:
        home = (asked.home or Path(beside)).resolve()
        os.environ["KT_CACHE_DIR"] = str(home / "cache")
        for data, units, optimizer in itertools.product(SETS, HEADS, OPTIMIZERS):
            name = f"{data}, {optimizer}, {'hidden layer' if units else 'logits'}"
            settings = options(data, units, optimizer)
            found[name] = {
                "grid": [figures(settings, rate, 0, home / name) for rate in GRID],
                "rules": [swept(settings, seed, home / name) for seed in range(asked.seeds)],
            }
            print(name, *row(found[name], RULES), flush=True)
    columns = ("setting", "best of seven", *(f"{rule}: {what}" for rule in RULES for what in SHOWN))
    rows = [[name, *row(one, RULES)] for name, one in found.items()]
    report("lr_find", columns, rows, seeds=asked.seeds, rates=GRID, settings=found)


SHOWN = ("rates", "mean", "worst")


def options(data: str, units: tuple[int, ...], optimizer: str) -> dict[str, Any]:
    return {
        **DATA[data].settings,
        "backbone": "mobilenet_v2",
        "variant": {"alpha": 0.35},
        "weights": str(SMALL),
        "imbalance": "none",
        "head": {"dropout": 0.2, "units": units},
        "stages": [{"name": "head", "epochs": 10, "optimizer": optimizer}],
    }


def swept(settings: dict[str, Any], seed: int, home: Path) -> dict[str, dict[str, float]]:
    """By rule: the rate that a sweep of this seed suggests, and what training at it gives."""
    import keras

    from keras_transfer import Classify
    from keras_transfer.runs.sweeps import stored_sweep

    folder = home / f"sweep-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.clear_session()
    sweep = stored_sweep(folder) or Classify(**settings, seed=seed, lr="auto").find_rate(folder)
    return {rule: figures(settings, rate, seed, home) for rule, rate in sweep["rules"].items()}


def figures(settings: dict[str, Any], rate: float, seed: int, home: Path) -> dict[str, float]:
    """The rate, and accuracy and log loss of the test split after training at it."""
    import keras

    from keras_transfer import Classify, Run, runs

    folder = home / f"{rate:g}-{seed}"
    if not runs.is_done(folder):
        keras.utils.clear_session()
        recipe = Classify(**settings, seed=seed, lr=rate)
        folder.mkdir(parents=True, exist_ok=True)
        recipe.run_in(folder, "lr_find", recipe.data.source)
    test = Run(folder).metrics["test"]
    return {"rate": rate, **{name: test[name] for name in ("accuracy", "log_loss")}}


def row(found: dict[str, Any], rules: Any) -> list[Any]:
    """The best rate; of each rule its rates, and their mean and worst log loss against it."""
    best = min(found["grid"], key=lambda one: one["log_loss"])
    cells: list[Any] = [best["rate"]]
    for rule in rules:
        taken = [one[rule] for one in found["rules"]]
        rates = [one["rate"] for one in taken]
        ratios = [one["log_loss"] / best["log_loss"] for one in taken]
        cells += [f"{min(rates):.2g} to {max(rates):.2g}", float(np.mean(ratios)), max(ratios)]
    return cells


if __name__ == "__main__":
    main()
