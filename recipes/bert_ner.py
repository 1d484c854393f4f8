"""Named entities by a pretrained BERT: a head on frozen features, then the entire network.

Data: a folder of CoNLL files, such as train.txt, dev.txt and test.txt, with a word in each line and
its label (B-PER, I-PER, O) in the last column. The weights are the published ones of MiniLM (23
million parameters); without a network, --weights preset:DIR takes a folder of KerasHub or Hugging
Face. Capitals tell names apart: a cased BERT is better where one is at hand.
"""

from keras_transfer import FineTune, Stage, Text

recipe = FineTune(
    data="conll2003",
    input=Text(length=128),
    backbone="minilm",
    objective="tokens",
    monitor="val_f1",
    stages=(
        Stage("head", epochs=2, optimizer="adamw", learning_rate=1e-3),
        Stage(
            "tune",
            epochs=3,
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
