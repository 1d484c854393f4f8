"""The small recipe that tests run in their own process, on the images of ``paint``."""

from keras_transfer import Classify, Head, Split, Stage

RECIPE = Classify(
    data="images",
    backbone="convnet_small",
    weights="none",
    image_size=16,
    batch_size=4,
    split=Split(val=0.25, test=0.25),
    head=Head(dropout=0.2),
    stages=(Stage("head", epochs=2),),
    engine="keras",
)
