"""Your own images by the best backbone on this machine, which a ranking on the data finds.

Data: DIR with one folder of images a class, or with train/, val/ and test/ of such folders;
name it by --data. A linear probe on features of the train split ranks the networks whose weights
are here (or those of --weights NAME=FILE,NAME=FILE); --min-images-per-s leaves out slow ones. The
best gets a linear head, then its last fifth is tuned, each until the validation loss stops falling.
"""

from keras_transfer import Augment, Classify, Head, Stage

recipe = Classify(
    data="data",
    backbone="auto",
    head=Head(pooling="avg", dropout=0.3),
    augment=Augment(
        rotation_range=10,
        width_shift_range=0.1,
        height_shift_range=0.1,
        zoom_range=0.1,
        horizontal_flip=True,
    ),
    stages=(
        Stage("head", epochs=20, learning_rate=1e-3, patience=3),
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
