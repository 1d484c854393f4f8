"""How a raw example becomes tensors: in training, predict, exports and serving alike."""
