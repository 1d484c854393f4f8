"""Cats or dogs by ResNet50: average pooling under Dense(1024), then conv5 tuned.

Data: cat/*.jpg and dog/*.jpg, or the cats_vs_dogs data set (786 MB, fetched on first use).
"""

from keras_transfer import Augment, Classify, Head, Stage

recipe = Classify(
    data="tfds:cats_vs_dogs",
    backbone="resnet50",
    head=Head(pooling="avg", units=(1024,), dropout=0.5),
    augment=Augment(shear_range=0.2, zoom_range=0.2, horizontal_flip=True),
    stages=(
        Stage("head", epochs=5, learning_rate=1e-3, patience=2),
        Stage("conv5", epochs=10, learning_rate=1e-5, unfreeze="conv5", patience=3),
    ),
)
run = recipe.run
