"""Which tests are slow: ``slow_tests.txt`` lists them, with the seconds that they took.

To measure again, on a quiet machine, since what is listed is what took longer than ``SECONDS``:

    python -m pytest -m "slow or not slow" --durations=0 --durations-min=1 > durations.txt
    python tests/slow_tests.py durations.txt

Only the test itself counts. What it shares with others of its file, such as a trained run, would be
made for the next one instead.
"""

import re
import sys
from functools import cache
from pathlib import Path

SECONDS = 2
LIST = Path(__file__).with_suffix(".txt")
TIMED = re.compile(r"([0-9.]+)s call +(tests/.+\.py::.+?) *\n")


@cache
def measured():
    """Seconds of the slow tests by their ids."""
    rows = (line.split(" ", 1) for line in LIST.read_text(encoding="utf-8").splitlines())
    return {name: float(seconds) for seconds, name in rows}


def write(durations, seconds=SECONDS):
    """List what took longer, by the output of pytest."""
    timed = ((float(took), name) for took, name in TIMED.findall(durations))
    slow = sorted((name, took) for took, name in timed if took > seconds)
    LIST.write_text("".join(f"{took:.1f} {name}\n" for name, took in slow), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]).read_text(encoding="utf-8"))
