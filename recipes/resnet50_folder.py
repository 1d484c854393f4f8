"""Your own images by ResNet50: the recipe to start from; sane for any folder of class folders.

Data: DIR with one folder of images a class, or with train/, val/ and test/ of such folders;
name it by --data. Good from 50 images up, with any --backbone: a linear head, solved by logistic
regression, then the last fifth of the network's layers tuned gently until the validation loss
stops falling; kept only if that is lower than with the head alone.
"""

from keras_transfer import Augment, Classify, Head, Stage

recipe = Classify(
    data="data",
    backbone="resnet50",
    head=Head(pooling="avg", dropout=0.3),
    augment=Augment(
        rotation_range=10,
        width_shift_range=0.1,
        height_shift_range=0.1,
        zoom_range=0.1,
        horizontal_flip=True,
    ),
    stages=(
        # Solved where it is linear; the epochs are for other heads and objectives.
        Stage("head", solver="auto", epochs=20, learning_rate=1e-3, patience=3),
        Stage(
            "tune",
            epochs=20,
            learning_rate=1e-5,
            unfreeze=0.2,
            schedule="cosine",
            warmup_epochs=1,
            patience=5,
        ),
    ),
)
run = recipe.run
