"""The system clock, as far as files depend on it, and how long something takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from keras_transfer.errors import BadConfiguration

__all__ = ["check_clock", "timed"]

YEARS = range(1980, 2108)
"""Years that a ZIP archive can hold, which a .keras file is."""


def check_clock() -> None:
    """Check that files can be written with today's date.

    Raises:
        BadConfiguration: They cannot: the clock is not set.
    """
    today = time.localtime(time.time())
    if today.tm_year not in YEARS:
        raise BadConfiguration(
            f"The system clock says {time.strftime('%Y-%m-%d', today)}. Models are ZIP archives, "
            f"which hold dates from {YEARS[0]} to {YEARS[-1]} only. Set the clock, then give the "
            "command again."
        )


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Write down how long the block takes, by its name."""
    began = time.perf_counter()
    yield
    seconds[what] = round(time.perf_counter() - began, 3)
