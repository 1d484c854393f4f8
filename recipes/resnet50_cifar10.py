"""CIFAR-10 by ResNet50 on enlarged images: SGD with momentum and a decaying rate.

Data: the cifar10 data set (162 MB, fetched on first use), or an .npz with x_train and y_train.
"""

from keras_transfer import Augment, Classify, Head, Stage

recipe = Classify(
    data="tfds:cifar10",
    backbone="resnet50",
    image_size=128,
    head=Head(pooling="avg", dropout=0.2),
    augment=Augment(width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True),
    stages=(
        Stage("head", epochs=3, learning_rate=0.1, optimizer="sgd"),
        Stage(
            "all",
            epochs=15,
            learning_rate=0.01,
            unfreeze="all",
            optimizer="sgd",
            momentum=0.9,
            weight_decay=1e-4,
            schedule="step",
        ),
    ),
    batch_size=64,
)
run = recipe.run
