"""Backbones, heads, freezing and weights."""
