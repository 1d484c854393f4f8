"""Your own images: the nearest neighbors among the features of a frozen MobileNetV2.

Data: DIR with one folder of images a class, or with train/, val/ and test/ of such folders;
name it by --data. The number of neighbors is chosen by cross-validation. The model holds the
features of all training images.
"""

from keras_transfer import FeatureExtraction, Image

recipe = FeatureExtraction(
    data="data",
    input=Image(resize="pad"),
    backbone="mobilenet_v2",
    learner="knn",
)
run = recipe.run
