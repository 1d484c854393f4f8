"""Digits 5 to 9 from ten pictures a class: transfer against training from scratch, over seeds.

The source network is trained anew for each seed too, and each seed draws other pictures.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Print accuracy of both over three seeds (or as many as asked for), and write JSON."""
    from recipes import digits, digits_source

    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    rows = []
    print(f"{'seed':>4}  {'transfer':>8}  {'scratch':>8}  {'seconds':>7}")
    for seed in seeds:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            source = digits_source.run(seed=seed)
            run = digits.run(seed=seed, weights=f"run:{source.folder}")
            transfer = run.metrics["test"]["accuracy"]
            scratch = run.metrics["baselines"]["scratch"]["accuracy"]
            os.chdir("/")
        rows.append((transfer, scratch))
        seconds = time.perf_counter() - began
        print(f"{seed:>4}  {transfer:>8.3f}  {scratch:>8.3f}  {seconds:>7.1f}")
    mean = np.mean(rows, axis=0)
    print(f"mean  {mean[0]:>8.3f}  {mean[1]:>8.3f}  difference {mean[0] - mean[1]:+.3f}")
    result = {"transfer": [row[0] for row in rows], "scratch": [row[1] for row in rows]}
    Path(tempfile.gettempdir(), "keras_transfer_digits.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
