"""Metrics laid out for people to read in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned", "interval_text", "shown"]


def shown(metric: float | None) -> str:
    """Three decimals, or "-" where a metric is not defined."""
    return "-" if metric is None else f"{metric:.3f}"


def interval_text(interval: Sequence[float] | None, n: int, form: str = ".3f") -> str:
    """The interval and the number of examples in brackets; the number only where there is none."""
    if interval is None:
        return f"  ({n} examples)"
    low, high = (format(bound, form) for bound in interval)
    return f"  (95 % interval {low} to {high}, {n} examples)"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table with names to the left and numbers to the right, a line per row."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        "  ".join([f"{row[0]:<{first}}", *map(str.rjust, row[1:], others)]) for row in rows
    )
