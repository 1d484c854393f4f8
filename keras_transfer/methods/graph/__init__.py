"""Losses that run inside a TensorFlow graph; imported by functions only."""
