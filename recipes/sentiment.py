"""What a text says, such as praise or blame: a small transformer without pretraining.

Data: a CSV or TSV file with the columns text and label, or a folder with such a file for each
split. The vocabulary is learnt from the train split.
"""

from keras_transfer import Classify, Head, Stage, Text

recipe = Classify(
    data="reviews.csv",
    input=Text(length=64),
    backbone="transformer_small",
    weights="none",
    head=Head(dropout=0.1),
    stages=(
        Stage(
            "all",
            epochs=4,
            optimizer="adamw",
            learning_rate=5e-4,
            weight_decay=0.01,
            unfreeze="all",
        ),
    ),
)
run = recipe.run
