"""Kinds of recipes: each its settings and the story of its run."""
