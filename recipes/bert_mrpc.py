"""Pairs of sentences that say the same or not, by a pretrained BERT that is tuned entirely.

Data: a folder or a file of GLUE's MRPC, or another TSV or CSV file with two columns of texts, named
by --column and --second-column, and one of labels, named by --label-column. The weights are the
published ones of MiniLM (23 million parameters); without a network, --weights preset:DIR takes a
folder of KerasHub or Hugging Face.
"""

from keras_transfer import Classify, Data, Stage, TextPair

recipe = Classify(
    data=Data("mrpc", label_column="Quality"),
    input=TextPair(column="#1 String", second_column="#2 String", length=80),
    backbone="minilm",
    stages=(
        Stage(
            "tune",
            epochs=3,
            optimizer="adamw",
            learning_rate=1e-4,
            weight_decay=0.01,
            schedule="cosine",
            warmup_epochs=0.3,
            layer_decay=0.9,
            unfreeze="all",
        ),
    ),
)
run = recipe.run
