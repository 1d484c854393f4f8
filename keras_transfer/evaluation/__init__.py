"""Predictions in, metrics out."""
