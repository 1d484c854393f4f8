"""``python -m benchmarks NAME``: run one of the measurements of this folder."""

import importlib
import pkgutil
import sys
from pathlib import Path

NAMES = sorted(
    one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)]) if one.name[0] != "_"
)

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python -m benchmarks NAME, with NAME one of {', '.join(NAMES)}")
    importlib.import_module(f"benchmarks.{sys.argv.pop(1)}").main()
