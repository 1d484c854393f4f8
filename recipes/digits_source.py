"""A small network learns scikit-learn's digits 0 to 4; recipe digits transfers what it learnt.

Data: 901 of the 1,797 digits that come with scikit-learn, 8 x 8 pixels; nothing is downloaded.
"""

from keras_transfer import Classify, Head, Stage

recipe = Classify(
    data="sklearn:digits",
    classes=("0", "1", "2", "3", "4"),
    backbone="convnet_small",
    weights="none",
    image_size=16,
    batch_norm="train",
    head=Head(pooling="flatten"),
    stages=(Stage("train", epochs=10, unfreeze="all"),),
)
run = recipe.run
