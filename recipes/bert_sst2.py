"""Sentences by a pretrained BERT: a head on frozen features, then the entire network.

Data: a CSV or TSV file with the columns text and label, or a folder with such a file for each
split, such as SST-2. The weights are the published ones of MiniLM (23 million parameters); without
a network, --weights preset:DIR takes a folder of KerasHub or Hugging Face.
"""

from keras_transfer import Classify, Stage, Text

recipe = Classify(
    data="sst2",
    input=Text(length=64),
    backbone="minilm",
    stages=(
        Stage("head", solver="logistic"),
        Stage(
            "tune",
            epochs=2,
            optimizer="adamw",
            learning_rate=1e-4,
            weight_decay=0.01,
            schedule="cosine",
            warmup_epochs=0.3,
            layer_decay=0.95,
            unfreeze="all",
        ),
    ),
)
run = recipe.run
