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
from itertools import accumulate
from pathlib import Path

SECONDS = 2
MARKED = 10
"""What counts for a test that is marked as slow, not listed: most of them train."""
LIST = Path(__file__).with_suffix(".txt")
TIMED = re.compile(r"([0-9.]+)s call +(tests/.+\.py::.+?) *\n")


@cache
def measured():
    """Seconds of the slow tests by their ids."""
    rows = (line.split(" ", 1) for line in LIST.read_text(encoding="utf-8").splitlines())
    return {name: float(seconds) for seconds, name in rows}


def part_of(items, number, parts):
    """Those of part ``number``, from 0 on, of parts that take about as long as each other.

    Neighbours stay together, since tests of one file share what takes longest: a trained run.
    Tests that are marked, not listed, count as ``MARKED``.
    """
    items = sorted(items, key=lambda item: item.nodeid)
    listed = measured()
    seconds = [
        listed.get(item.nodeid, MARKED * (item.get_closest_marker("slow") is not None))
        for item in items
    ]
    middles = [end - took / 2 for end, took in zip(accumulate(seconds), seconds, strict=True)]
    share = sum(seconds) / parts or 1
    of = [min(int(middle / share), parts - 1) for middle in middles]
    return [item for item, part in zip(items, of, strict=True) if part == number]


def write(durations, seconds=SECONDS):
    """List what took longer, by the output of pytest."""
    timed = ((float(took), name) for took, name in TIMED.findall(durations))
    slow = sorted((name, took) for took, name in timed if took > seconds)
    LIST.write_text("".join(f"{took:.1f} {name}\n" for name, took in slow), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]).read_text(encoding="utf-8"))
