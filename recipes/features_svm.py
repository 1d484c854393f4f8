"""Your own images: a support vector machine on the features of a frozen MobileNetV2.

Data: DIR with one folder of images a class, or with train/, val/ and test/ of such folders;
name it by --data. Nothing of the network trains, so it takes as long as computing the features
once; C is chosen by cross-validation. --learner names another learner, --backbone another network.
"""

from keras_transfer import FeatureExtraction, Image

recipe = FeatureExtraction(
    data="data",
    input=Image(resize="pad"),
    backbone="mobilenet_v2",
    learner="svm",
)
run = recipe.run
