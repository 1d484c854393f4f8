"""Texts without labels: a network for texts learns the language of a field by masked words.

Data: a .txt file with a text in each line, a CSV or TSV file with the column text, or a folder with
such a file for each split. Any recipe for texts takes the result by --weights run:DIR. The network
is MiniLM with its published weights; without a network --weights preset:DIR; or from scratch
--backbone transformer_small --weights none.
"""

from keras_transfer import Pretrain, Stage, Text

recipe = Pretrain(
    data="texts.txt",
    input=Text(length=64),
    backbone="minilm",
    weights="preset",
    stages=(
        Stage(
            "all",
            epochs=3,
            optimizer="adamw",
            learning_rate=2e-4,
            weight_decay=0.01,
            schedule="cosine",
            warmup_epochs=0.2,
            unfreeze="all",
        ),
    ),
)
run = recipe.run
