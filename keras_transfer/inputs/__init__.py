"""Inputs: from raw examples to tensors, the same in training, predict, exports and serving."""
