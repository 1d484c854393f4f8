"""Deep adaptation between two sets of digits, each method beside the network without it.

    python -m benchmarks adaptation_digits MNIST_vs_USPS.mat --seeds 3 --runs FOLDER

A MATLAB 7.3 file with Xs, Ys, Xt, Yt. The recipe is dann_digits with other methods, each with its
default weight. Epoch and model are chosen by the recipe's criterion, without labels of the target.
Runs that FOLDER has already are not repeated.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks._report import paired, report, shown
from keras_transfer import catalog, load
from keras_transfer.methods.adaptation import NetworkAdaptation
from keras_transfer.methods.table import METHODS

DIRECTIONS = {"s -> t": ("Xs", "Xt"), "t -> s": ("Xt", "Xs")}
ADAPTING = [name for name, row in METHODS.items() if issubclass(row, NetworkAdaptation)]
COLUMNS = (
    *("direction", "method", "seeds", "source only", "adapted", "difference"),
    *("kept model", "by target labels", "criterion", "criterion, source only"),
)


def main():
    """Run, print the table and write it to results/adaptation_digits.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--methods", default=",".join(ADAPTING), help="NAME or NAME:SEEDS, ...")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/adaptation_digits"))
    given = parser.parse_args()
    rows = []
    for direction in DIRECTIONS:
        for text in given.methods.split(","):
            method, _, seeds = text.partition(":")
            runs = [
                finished(given.runs, given.file, direction, method, seed)
                for seed in range(int(seeds or given.seeds))
            ]
            rows.append((direction, method, *row(runs)))
    report("adaptation_digits", COLUMNS, rows)


def finished(folder, file, direction, method, seed):
    """A run, which is done now if it was not before."""
    source, target = DIRECTIONS[direction]
    out = folder / f"{source}_{method}_{seed}"
    if not (out / "metrics.json").exists():
        adapting = {"type": method, "target_data": f"{file}:{target}"}
        recipe = catalog.find("dann_digits").recipe
        recipe.run(f"{file}:{source}", method=adapting, seed=seed, out=out, name="dann_digits")
    return load(out)


def row(runs):
    """Means over the seeds; the difference with its interval, where there are several."""
    found = [run.metrics["adaptation"] for run in runs]
    of = {
        name: [document["target"][name]["accuracy"] for document in found]
        for name in ("source_only", "adapted")
    }
    kept = [document["target"][document["kept"]]["accuracy"] for document in found]
    best = [document["oracle"].get("by_labels", {}).get("target_accuracy") for document in found]
    pair = paired(of["adapted"], of["source_only"])
    return (
        len(runs),
        *(float(np.mean(of[name])) for name in ("source_only", "adapted")),
        shown(pair) if len(runs) > 1 else f"{pair[0]:+.3f}",
        float(np.mean(kept)),
        float(np.mean(best)) if None not in best else None,
        *(
            float(np.mean([document["values"][name] for document in found]))
            for name in ("adapted", "source_only")
        ),
    )
