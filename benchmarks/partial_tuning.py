"""What it costs and gains to train few weights of the backbone instead of all.

``python -m benchmarks partial_tuning`` trains a head on MobileNetV2 (alpha 0.35, ImageNet weights)
on 200 cats and dogs at 96 pixels, and then blocks of the backbone: all of their weights, LoRA of
rank 8, biases or normalisation. ``--data sst2`` trains the network of recipe sentiment on 1,000
sentences, from random weights, since it has no others. The rates are the usual ones of each method,
not searched. Seconds are those of the processor, in one process, without a cache of features.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._child import SHARED
from benchmarks._report import paired, report, shown

ALL_WEIGHTS, FEW_WEIGHTS = 2e-5, 1e-3
"""Rates: that of recipe mobilenet_v2_catsdogs, and one for small or few weights."""

PARTS: dict[str, dict[str, Any]] = {
    "all weights": {},
    "lora = 8": {"lora": 8},
    "bias": {"trainable": "bias"},
    "norm": {"trainable": "norm"},
}
PLACES = {"cats_dogs": ("block_13", "all"), "sst2": ("all",)}
COLUMNS = (
    "data",
    "trains",
    "from",
    "trainable",
    "of",
    "val accuracy",
    "test accuracy",
    "test - head",
    "processor s",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks partial_tuning")
    parser.add_argument("--data", choices=PLACES, default="cats_dogs")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    logging.getLogger("keras_transfer").setLevel(logging.WARNING)
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(asked.seeds):
        for name, stages in cases(asked.data).items():
            runs.setdefault(name, []).append(trained(asked.data, stages, seed))
            print(name, seed, runs[name][-1], flush=True)
    rows = [row(name, runs) for name in runs]
    report(f"partial_tuning_{asked.data}", COLUMNS, rows, options=vars(asked), runs=runs)


def cases(data: str) -> dict[str, list[dict[str, Any]]]:
    """Stages by data, what trains and where."""
    found: dict[str, list[dict[str, Any]]] = {f"{data}|head alone|-": [head(data)]}
    for place in PLACES[data]:
        for part, more in PARTS.items():
            found[f"{data}|{part}|{place}"] = stages(data, place, more)
    return found


def head(data: str) -> dict[str, Any]:
    return {"name": "head", "epochs": 5 if data == "cats_dogs" else 4, "learning_rate": 1e-3}


def stages(data: str, place: str, more: dict[str, Any]) -> list[dict[str, Any]]:
    stage = {"name": "tune", "epochs": 4, "unfreeze": place, **more}
    if data == "sst2":  # the one stage of recipe sentiment
        return [{**stage, "learning_rate": 5e-4, "optimizer": "adamw", "weight_decay": 0.01}]
    rate = FEW_WEIGHTS if more else ALL_WEIGHTS
    return [head(data), {**stage, "learning_rate": rate, "schedule": "cosine"}]


def trained(data: str, stages: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Accuracies, parameters of the last stage, and seconds of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_of(data, stages, seed)
        began = time.process_time()
        run = recipe.run(out=Path(folder, "run"), name="run")
        seconds = time.process_time() - began
        counts = run.metadata["parameters"][stages[-1]["name"]]
        accuracies = {name: run.metrics[name]["accuracy"] for name in ("val", "test")}
    return {**accuracies, **counts, "seconds": seconds}


def recipe_of(data: str, stages: list[dict[str, Any]], seed: int) -> Any:
    from keras_transfer import catalog

    if data == "sst2":
        recipe = catalog.find("sentiment").recipe.changed(
            data=str(SHARED / "data" / "text" / "sst2")
        )
        return recipe.changed(split={"train": 1000}, stages=stages, seed=seed, cache=False)
    weights = SHARED / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"
    recipe = catalog.find("mobilenet_v2_catsdogs").recipe.changed(
        data=str(SHARED / "data" / "cats_dogs"), weights=str(weights), variant={"alpha": 0.35}
    )
    few = {"split": {"train": 200}, "image_size": 96}
    return recipe.changed(**few, stages=stages, seed=seed, cache=False)


def row(name: str, runs: dict[str, list[dict[str, Any]]]) -> list[Any]:
    data, part, place = name.split("|")
    tests, heads = ([run["test"] for run in runs[n]] for n in (name, f"{data}|head alone|-"))
    first = runs[name][0]
    return [
        *(data, part, place, first["trainable"], first["total"]),
        *(float(np.mean([run[split] for run in runs[name]])) for split in ("val", "test")),
        shown(paired(tests, heads)),
        float(np.median([run["seconds"] for run in runs[name]])),
    ]


if __name__ == "__main__":
    main()
