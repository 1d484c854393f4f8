"""Recipes that come with keras_transfer: one module each, values only."""
