"""Trains small networks on one device and on two, and prints the weights as JSON.

Run as a process of its own, because TensorFlow fixes its devices: ``python device_runs.py FOLDER``.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from keras_transfer.data.batches import (  # noqa: E402
    Loading,
    evaluation_batches,
    label_columns,
    training_batches,
)
from keras_transfer.data.samples import Samples  # noqa: E402
from keras_transfer.features.stage_batches import StageBatches  # noqa: E402
from keras_transfer.inputs.images.bound import BoundImage  # noqa: E402
from keras_transfer.networks.convnet_small import convnet_small  # noqa: E402
from keras_transfer.networks.heads import build_head  # noqa: E402
from keras_transfer.networks.network import build_network  # noqa: E402
from keras_transfer.training.distributed import strategy  # noqa: E402
from keras_transfer.training.layer_rates import layer_factors  # noqa: E402
from keras_transfer.training.optimizers import build_optimizer  # noqa: E402
from keras_transfer.training.penalties import l2_sp, origin  # noqa: E402
from keras_transfer.training.terms import Term  # noqa: E402
from keras_transfer.training.trainer import StagePlan, Trainer  # noqa: E402

SIDE, BATCH, EPOCHS = 8, 4, 3

CLIP = {"global_clipnorm": 0.05}

CASES = {
    "global_clipnorm": {"n": 9, "decay": 0.5, "optimizer": CLIP},
    "clipnorm": {"optimizer": {"clipnorm": 0.02, "use_ema": True, "ema_momentum": 0.5}},
    "clipvalue": {"optimizer": {"clipvalue": 0.001, "weight_decay": 0.1}},
    "penalties": {"pull": (0.1, 0.2), "head": {"l2": 0.05}, "optimizer": CLIP},
    "accumulate": {
        "n": 9,
        "decay": 0.5,
        "optimizer": {
            **{"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.5},
            **{"momentum": 0.9, "weight_decay": 0.1, **CLIP},
        },
    },
    "batch_norm": {"n": 9, "batch_norm": "train", "optimizer": {"carry": True, **CLIP}},
    "head_batch_norm": {
        "n": 9,
        "head": {"units": [8], "batch_normalization": True},
        "optimizer": {"learning_rate": 1e-3},
    },
}
"""What is changed in each case; the rest is SGD of 8 images in batches of 4."""


class Points:
    """Images of random pixels."""

    def read(self, row):
        drawn = tf.random.stateless_uniform([SIDE, SIDE, 3], [1, row], 0, 256, tf.int32)
        return tf.cast(drawn, tf.uint8)


def network(case):
    backbone = convnet_small(input_shape=(SIDE, SIDE, 3))
    head = build_head(2, **case.get("head", {}))
    built = build_network(backbone, {"label": head}, preprocessing="tf")
    built.freeze("block2", case.get("batch_norm", "frozen"))
    return built


def optimizer(case, built):
    settings = {"name": "sgd", "learning_rate": 0.1} | case.get("optimizer", {})
    decay = case.get("decay")
    return build_optimizer(factor_of=layer_factors(built, decay) if decay else None, **settings)


def trained(case, name, folder):
    folder.mkdir()
    n = case.get("n", 8)
    samples = Samples.of(Points(), ["a", "b"], [str(i) for i in range(n)], np.arange(n) % 2)
    devices = strategy(name, BATCH)
    loading = Loading(BoundImage(SIDE), BATCH, devices.num_replicas_in_sync)
    keras.utils.set_random_seed(0)
    with devices.scope():
        built = network(case)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        terms = [Term("label", "label", loss, metrics=("accuracy",))]
        trainer = Trainer(built, folder, "val_loss", terms)
        columns = label_columns(samples, np.float32([1, 2]))
        first = origin(built)
        backbone, head = case.get("pull", (0, 0))
        with l2_sp(built, first, backbone=backbone, head=head):
            trainer.stage(
                0,
                StageBatches(
                    None,
                    lambda e: training_batches(samples, loading, columns, epochs=3, first_epoch=e),
                    evaluation_batches(samples, loading),
                    lambda split: evaluation_batches(split, loading),
                ),
                optimizer(case, built),
                StagePlan("s", EPOCHS, loading.steps(n)),
            )
    saved = keras.models.load_model(folder / "last.keras")
    return {
        "replicas": loading.replicas,
        "weights": [weights.tolist() for weights in saved.get_weights()],
        "losses": [row["val_loss"] for row in trainer.done["rows"]],
    }


if __name__ == "__main__":
    asked = sys.argv[2:] or list(CASES)
    results = {
        f"{name} {devices}": trained(CASES[name], devices, Path(sys.argv[1]) / f"{name}_{devices}")
        for name in asked
        for devices in ("one_device", "mirrored")
    }
    sys.stdout.write(json.dumps(results))
