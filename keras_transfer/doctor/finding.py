"""What a check of the machine found."""

from typing import Literal, NamedTuple

__all__ = ["Finding", "note", "ok", "problem"]


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        check: What was looked at.
        state: "ok"; "note": something that is missing or unusual and stops nothing by itself;
            "problem": runs will fail.
        found: What is there.
        cure: What to do, or "".
    """

    check: str
    state: Literal["ok", "note", "problem"]
    found: str
    cure: str = ""


def ok(check: str, found: str) -> Finding:
    """A finding that needs nothing done."""
    return Finding(check, "ok", found)


def note(check: str, found: str, cure: str = "") -> Finding:
    """A finding that stops nothing by itself."""
    return Finding(check, "note", found, cure)


def problem(check: str, found: str, cure: str) -> Finding:
    """A finding with which runs fail."""
    return Finding(check, "problem", found, cure)
