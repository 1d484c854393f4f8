"""Digits 5 to 9 from ten images a class: transfer against training from scratch, over seeds.

The source network is trained anew for each seed too, and each seed draws other images. The
third column is training from scratch with four times the epochs: on a problem this easy it
catches up, so what transfer saves here is training.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Print accuracy of both over three seeds (or as many as asked for), and write JSON."""
    from recipes import digits, digits_source

    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    rows = []
    print(f"{'seed':>4}  {'transfer':>8}  {'scratch':>8}  {'x 4':>8}  {'seconds':>7}")
    for seed in seeds:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            source = digits_source.run(seed=seed)
            run = digits.run(seed=seed, weights=f"run:{source.folder}")
            transfer = run.metrics["test"]["accuracy"]
            scratch = run.metrics["baselines"]["scratch"]["accuracy"]
            longer = _long_from_scratch(digits.recipe, seed)
            os.chdir("/")
        rows.append((transfer, scratch, longer))
        seconds = time.perf_counter() - began
        print(f"{seed:>4}  {transfer:>8.3f}  {scratch:>8.3f}  {longer:>8.3f}  {seconds:>7.1f}")
    mean = np.mean(rows, axis=0)
    print(f"mean  {mean[0]:>8.3f}  {mean[1]:>8.3f}  {mean[2]:>8.3f}")
    result = dict(zip(("transfer", "scratch", "longer"), np.transpose(rows).tolist(), strict=True))
    Path(tempfile.gettempdir(), "keras_transfer_digits.json").write_text(json.dumps(result))


def _long_from_scratch(recipe: Any, seed: int) -> float:
    """Accuracy from scratch with four times the epochs, at Adam's usual rate."""
    stage = {"name": "scratch", "epochs": 40, "unfreeze": "all", "learning_rate": 1e-3}
    run = recipe.run(
        seed=seed, weights="none", batch_norm="train", stages=[stage], baselines=(), name="long"
    )
    return run.metrics["test"]["accuracy"]


if __name__ == "__main__":
    main()
