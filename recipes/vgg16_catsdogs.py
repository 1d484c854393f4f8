"""Cats or dogs, the textbook way: VGG16 frozen under Flatten and Dense(256), then block5 tuned.

Data: cat/*.jpg and dog/*.jpg, or the cats_vs_dogs data set (786 MB, fetched on first use).
Published for this recipe: 0.94 from 2,000 images of 150 x 150 (F. Chollet, "Building powerful
image classification models using very little data", Keras blog, 2016).
"""

from keras_transfer import Augment, Classify, Head, Stage

recipe = Classify(
    data="tfds:cats_vs_dogs",
    backbone="vgg16",
    head=Head(pooling="flatten", units=(256,), dropout=0.5),
    augment=Augment(shear_range=0.2, zoom_range=0.2, horizontal_flip=True),
    stages=(
        Stage("head", epochs=10, learning_rate=1e-4, patience=3),
        Stage("block5", epochs=10, learning_rate=1e-5, unfreeze="block5", patience=3),
    ),
)
run = recipe.run
