"""What every measurement ends with: a table for people, and JSON that names the machine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("keras_transfer", "tensorflow", "keras", "numpy", "openvino")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def report(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **details: Any
) -> None:
    """Print a table, and write it with the details to ``results/NAME.json``.

    Args:
        name: Of the measurement.
        columns: Headings.
        rows: A cell for each heading.
        details: What else belongs in the JSON: options, single runs, warnings.
    """
    print(table(columns, rows))
    document = {
        "benchmark": name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
        "table": [dict(zip(columns, row, strict=True)) for row in rows],
        **details,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"Written to {path}")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Text in columns, the first to the left, the others to the right."""
    cells = [list(columns), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def _shown(cell: Any) -> str:
    return "-" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def paired(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Mean difference of pairs, and half the width of Student's 95 % interval."""
    differences = np.subtract(values, others)
    mean, n = float(np.mean(differences)), len(differences)
    if n < 2:
        return mean, float("inf")
    return mean, float(stats.t.ppf(0.975, n - 1) * stats.sem(differences))


def shown(difference: tuple[float, float]) -> str:
    """Such as +0.012 ± 0.004."""
    return f"{difference[0]:+.3f} ± {difference[1]:.3f}"


def machine() -> dict[str, Any]:
    """Processor, its instructions that matter here, cores that may be used, memory, load."""
    with contextlib.suppress(OSError):  # elsewhere than on Linux
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        found = {name.strip(): value.strip() for name, value in lines.items()}
        flags = found.get("flags", "").split()
        return {
            "processor": found.get("model name", platform.processor()),
            "instructions": [flag for flag in FLAGS if flag in flags],
            "cores": len(os.sched_getaffinity(0)),
            "gigabytes": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
            "load_at_the_end": round(os.getloadavg()[0], 2),
        }
    return {"processor": platform.processor(), "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    """Of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
