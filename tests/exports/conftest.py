"""The run that is exported, and its SavedModel."""

from colours import odd, run, saved

__all__ = ["odd", "run", "saved"]
