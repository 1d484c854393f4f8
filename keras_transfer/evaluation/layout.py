"""Format metrics for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned", "interval_text", "shown"]


def shown(metric: float | None) -> str:
    """Three decimals, or "-" where a metric is not defined."""
    return "-" if metric is None else f"{metric:.3f}"


def interval_text(interval: Sequence[float] | None, n: int, form: str = ".3f") -> str:
    """The interval and the number of examples in brackets; without an interval the number only."""
    if interval is None:
        return f"  ({n} examples)"
    low, high = (format(bound, form) for bound in interval)
    return f"  (95 % interval {low} to {high}, {n} examples)"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Format a table, one line per row: names aligned left, numbers aligned right."""
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        "  ".join([f"{row[0]:<{first}}", *map(str.rjust, row[1:], widths)]) for row in rows
    )
