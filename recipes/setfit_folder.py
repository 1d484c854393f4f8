"""A few labelled texts of each class: SetFit tunes a sentence encoder on pairs of them.

Data: a CSV or TSV file with the columns text and label, or a folder with such a file for each
split. The weights are the published ones of MiniLM (23 million parameters); without a network,
--weights preset:DIR takes a folder of KerasHub or Hugging Face.
"""

from keras_transfer import Classify, SetFit, Stage, Text

recipe = Classify(
    data="reviews.csv",
    input=Text(length=128),
    backbone="minilm",
    method=SetFit(iterations=20),
    stages=(
        Stage(
            "pairs",
            epochs=1,
            optimizer="adamw",
            learning_rate=2e-5,
            weight_decay=0.01,
            schedule="cosine",
            warmup_epochs=0.1,
            unfreeze="all",
        ),
    ),
    batch_size=16,
)
run = recipe.run
