"""Your own images of two domains: features of MobileNetV2, adapted to images without labels.

Data: DIR with one folder of images a class, named by --data, from where there are labels; and
images from where the model must work, named by --set method.target_data=DIR. Their labels are not
used, only to measure what adaptation wins, if there are some. Nothing of the network trains.
--method coral, jda, subspace_alignment, domain_standardization, kmm or kliep adapts otherwise; on
photos coral and domain_standardization were better (docs/adaptation.md). The same learner without
adaptation is fitted too, and kept if it seems better.
"""

from keras_transfer import FeatureExtraction, Image

recipe = FeatureExtraction(
    data="data",
    input=Image(resize="pad"),
    backbone="mobilenet_v2",
    method="tca",
)
run = recipe.run
