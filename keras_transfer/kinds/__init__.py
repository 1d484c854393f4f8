"""Kinds of recipes: each its knobs and the story of its run."""
