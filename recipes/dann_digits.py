"""Digits of one domain without labels: a small network adapted to them by DANN.

Data: an array of images and its labels in a .mat or .npz file, such as MNIST_vs_USPS.mat with Xs
and Ys (MNIST) and Xt and Yt (USPS). Name both domains:
kt-recipe run dann_digits --data FILE.mat:Xs --target-data FILE.mat:Xt
The metrics stand beside those of the same network without adaptation.
"""

from keras_transfer import DANN, Backbone, Batches, Classify, Head, Image, Stage

recipe = Classify(
    data="MNIST_vs_USPS.mat:Xs",
    input=Image(image_size=16),
    # Statistics of normalisation that train on one domain would be wrong for the other.
    backbone=Backbone("convnet_small", weights="none", batch_norm="frozen"),
    head=Head(units=(64,)),
    method=DANN(target_data="MNIST_vs_USPS.mat:Xt"),
    batches=Batches(batch_size=64),
    stages=(Stage("train", epochs=15, learning_rate=1e-3, unfreeze="all"),),
)
run = recipe.run
