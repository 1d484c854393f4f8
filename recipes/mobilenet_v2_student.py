"""A small, fast network that learns from the labels and from a larger, trained network.

Data: DIR with one folder of images a class, the one that the teacher was trained on. The teacher
is a finished run: kt-recipe run resnet50_folder --data DIR --out runs/teacher.
The metrics stand beside those of the same network trained without the teacher.
"""

from keras_transfer import Backbone, Classify, Distill, Head, Stage

recipe = Classify(
    data="data",
    backbone=Backbone("mobilenet_v2", variant={"alpha": 0.35}),
    head=Head(dropout=0.2),
    method=Distill(teacher="run:runs/teacher"),
    stages=(
        Stage("head", epochs=10, learning_rate=1e-3),
        Stage("tune", epochs=10, learning_rate=1e-4, unfreeze="block_10", schedule="cosine"),
    ),
)
run = recipe.run
