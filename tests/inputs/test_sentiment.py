"""All blocks for texts together on real sentences, in a plain Keras loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data.texts import read_texts
from keras_transfer.inputs.text import Text
from keras_transfer.networks.sequence_pooling import SEQUENCE_POOLINGS
from keras_transfer.networks.text_backbones import build_text_backbone


@pytest.mark.slow
@pytest.mark.real_data
def test_a_small_transformer_beats_the_majority_on_real_sentences(shared_data):
    """SST-2: 0.509 of the val split is of the larger class; four epochs reached 0.78."""
    samples = read_texts(shared_data / "text/sst2")
    train = samples.split("train")
    settings = Text(length=48)
    text = settings.bind(settings.fit([samples.store.texts[row] for row in train.rows]))
    keras.utils.set_random_seed(0)
    backbone = build_text_backbone(
        "transformer_small", vocabulary_size=len(text.vocabulary), length=48, dropout=0.1
    )
    vector = SEQUENCE_POOLINGS["avg"](backbone.output, backbone.input["padding_mask"])
    model = keras.Model(backbone.input, keras.layers.Dense(2)(vector))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(5e-4, weight_decay=0.01), loss, metrics=["accuracy"])

    def batches(samples, shuffle):
        data = tf.data.Dataset.from_tensor_slices((samples.rows, samples.labels))
        data = data.shuffle(len(samples), seed=0) if shuffle else data
        return data.batch(32).map(lambda rows, y: (text.prepare(samples.store.read(rows)), y))

    val = samples.split("val")
    model.fit(batches(train, True), epochs=2, verbose=0)
    _, accuracy = model.evaluate(batches(val, False), verbose=0)

    assert np.bincount(val.labels).max() / len(val) < 0.51
    assert accuracy > 0.73
