"""Several runs of one recipe: seeds, learning curves, searches."""
