"""Runs in experiment trackers: MLflow, Weights & Biases, TensorBoard."""
