"""Your own images: a model for another place, whose images have no labels, by Deep CORAL.

Data: DIR with one folder of images a class, and the images of the target in another folder; they
need no labels: kt-recipe run coral_folder --data DIR --target-data TARGET
MobileNetV2 stays frozen; a hidden layer learns features with the same covariances in both domains.
The metrics stand beside those of the same network without adaptation.
"""

from keras_transfer import Classify, DeepCORAL, Head, Image, Stage

recipe = Classify(
    data="data",
    input=Image(resize="pad"),
    backbone="mobilenet_v2",
    head=Head(units=(256,), dropout=0.2),
    method=DeepCORAL(target_data="target"),
    stages=(Stage("head", epochs=20, learning_rate=1e-3, schedule="cosine", views=1),),
)
run = recipe.run
