"""Labels of words that mark entities."""

from __future__ import annotations

import re

__all__ = ["TAG"]

TAG = re.compile(r"O|[BIESLU]-\S+")
"""A label of a word: outside of entities, or its place in an entity, and the type of that."""
