"""How a raw example becomes tensors: the same way in training, predict, exports and serving."""
