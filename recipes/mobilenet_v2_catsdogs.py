"""Cats or dogs by MobileNetV2: a linear head, then the last blocks tuned; small and fast.

Data: cat/*.jpg and dog/*.jpg, or the cats_vs_dogs data set (786 MB, fetched on first use).
"""

from keras_transfer import Augment, Classify, Head, Stage

recipe = Classify(
    data="tfds:cats_vs_dogs",
    backbone="mobilenet_v2",
    head=Head(pooling="avg", dropout=0.2),
    augment=Augment(horizontal_flip=True),
    stages=(
        # Solved where it is linear; the epochs are for other heads and objectives.
        Stage("head", solver="auto", epochs=5, learning_rate=1e-3),
        Stage("tune", epochs=4, learning_rate=2e-5, unfreeze="block_13", schedule="cosine"),
    ),
)
run = recipe.run
