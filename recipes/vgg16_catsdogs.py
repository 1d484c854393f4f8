"""Cats or dogs, the textbook way: VGG16 frozen under Dense(256), then block5 tuned.

Data: cat/*.jpg and dog/*.jpg, or the cats_vs_dogs data set (786 MB, fetched on first use).
Published for this recipe: 0.94 from 2,000 images of 150 x 150 (F. Chollet, "Building powerful
image classification models using very little data", Keras blog, 2016).
Here 0.973 from 1,400 images, the mean of three seeds (python -m benchmarks recipes).
"""

from keras_transfer import Classify, Head, Image, Stage

recipe = Classify(
    data="tfds:cats_vs_dogs",
    input=Image(resize="pad"),
    backbone="vgg16",
    head=Head(pooling="avg", units=(256,), dropout=0.5),
    stages=(
        Stage("head", epochs=10, learning_rate=1e-3, schedule="cosine"),
        Stage("block5", epochs=2, learning_rate=3e-5, unfreeze="block5", schedule="cosine"),
    ),
)
run = recipe.run
