"""Cats and dogs in Keras as everyone writes it: the other side of ``benchmarks catsdogs``.

After F. Chollet, "Building powerful image classification models using very little data" (Keras
blog, 2016): ImageDataGenerator, a frozen network under a new head, then its last block unfrozen,
the whole network in the loop all the time. Prints one line of JSON.
"""

import argparse
import json
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SIZE, BATCH = 224, 32


def since_process_start():
    """Seconds, by the clock that Linux starts processes by (to 1/100 s)."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def vgg16_head(x):
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    return layers.Dropout(0.5)(x)


def resnet50_head(x):
    return layers.Dense(1024, activation="relu")(layers.GlobalAveragePooling2D()(x))


def mobilenet_v2_head(x):
    return layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))


apps = keras.applications
NETWORKS = {  # constructor, what it wants done to pixels, head, first layers of the last block
    "vgg16": (apps.VGG16, apps.vgg16.preprocess_input, vgg16_head, "block5"),
    "resnet50": (apps.ResNet50, apps.resnet50.preprocess_input, resnet50_head, "conv5"),
    "mobilenet_v2": (
        apps.MobileNetV2,
        apps.mobilenet_v2.preprocess_input,
        mobilenet_v2_head,
        "block_13",
    ),
}


class Seconds(keras.callbacks.Callback):
    """Notes how long each epoch took, validation included."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(time.perf_counter() - self.began)


def images(folder, preprocess, seed):
    """Train, val and test split, the first augmented and shuffled."""
    generator = tf.keras.preprocessing.image.ImageDataGenerator
    augmented = generator(
        preprocessing_function=preprocess, shear_range=0.2, zoom_range=0.2, horizontal_flip=True
    )
    plain = generator(preprocessing_function=preprocess)
    how = {"target_size": (SIZE, SIZE), "batch_size": BATCH, "class_mode": "binary"}
    return (
        augmented.flow_from_directory(f"{folder}/train", seed=seed, **how),
        plain.flow_from_directory(f"{folder}/val", shuffle=False, **how),
        plain.flow_from_directory(f"{folder}/test", shuffle=False, **how),
    )


def build(network, weights):
    """The frozen network without top, and the model with a head on it."""
    constructor, _, head, _ = NETWORKS[network]
    base = constructor(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    if weights != "none":
        base.load_weights(weights)
    base.trainable = False
    return base, keras.Model(base.input, layers.Dense(1, activation="sigmoid")(head(base.output)))


def unfreeze(base, first):
    """Let the last block train; batch normalisation keeps its statistics, as Keras's guide says."""
    unfrozen = False
    for layer in base.layers:
        unfrozen = unfrozen or layer.name.startswith(first)
        layer.trainable = unfrozen and not isinstance(layer, layers.BatchNormalization)


def fit(model, rate, epochs, train, val):
    """Compile, fit, and give the seconds of each epoch."""
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    seconds = Seconds()
    model.fit(train, validation_data=val, epochs=epochs, verbose=0, callbacks=[seconds])
    return seconds.epochs


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("data", help="folder with train, val and test")
    parser.add_argument("weights", help="a file, or none")
    parser.add_argument("--epochs", type=int, nargs=2, default=[10, 5], metavar=("HEAD", "TUNE"))
    parser.add_argument("--rates", type=float, nargs=2, required=True, metavar=("HEAD", "TUNE"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    laps = {"imports": since_process_start()}

    def lap(name):
        laps[name] = since_process_start() - sum(laps.values())

    asked = arguments()
    keras.utils.set_random_seed(asked.seed)
    train, val, test = images(asked.data, NETWORKS[asked.network][1], asked.seed)
    base, model = build(asked.network, asked.weights)
    lap("build")
    epochs = {"head": fit(model, asked.rates[0], asked.epochs[0], train, val)}
    lap("head")
    if asked.epochs[1]:
        unfreeze(base, NETWORKS[asked.network][3])
        epochs["tune"] = fit(model, asked.rates[1], asked.epochs[1], train, val)
        lap("tune")
    accuracy = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]
    lap("evaluation")
    laps["total"] = sum(laps.values())
    # Which images it gets wrong is for the comparison only, and not on the clock.
    wrong = (model.predict(test, verbose=0)[:, 0] > 0.5) != test.classes
    names = [test.filenames[i] for i in np.flatnonzero(wrong)]
    found = {"accuracy": accuracy, "wrong": names, "seconds": laps, "epochs": epochs}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
