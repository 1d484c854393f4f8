"""Soups of epochs, by weights that can be averaged in the head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.training.soups import TopKCheckpoints, clear_epochs, greedy_soup


def single(weight=0.0):
    """Answers weight * x; at x = 1 with 0 wanted, its loss is the weight squared."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.set_weights([np.float32([[weight]])])
    return model


def val():
    return tf.data.Dataset.from_tensor_slices((np.ones((3, 1)), np.zeros((3, 1)))).batch(2)


def keep(folder, model, weights, count):
    model.compile(keras.optimizers.SGD(), loss="mse")
    keeping = TopKCheckpoints(folder, keras.Model(model.inputs, model.outputs), "val_loss", count)
    keeping.set_model(model)
    for epoch, weight in enumerate(weights):
        model.set_weights([np.float32([[weight]])])
        keeping.on_epoch_end(epoch, {"val_loss": weight**2})


@pytest.mark.parametrize(
    ("weights", "metric", "soup"),
    [
        ([3, 1, -2], 0.25, -0.5),  # 1, then with -2: -1/2; with 3 too it would be 2/3
        ([1, 2, 3], None, 1),  # every average is worse than 1
        ([-1, 1, 1], 0, 0),  # the first two cancel; the third would make it 1/3
        ([2, 2], 4, 2),  # no worse, so both are in it
    ],
)
def test_what_makes_it_no_worse_joins(tmp_path, weights, metric, soup):
    model = single()
    keep(tmp_path / "epochs", model, weights, 3)
    part = keras.Model(model.inputs, model.outputs)

    found = greedy_soup(tmp_path / "epochs", model, part, val(), "val_loss")

    assert found == (None if metric is None else pytest.approx(metric))
    assert part.get_weights()[0][0, 0] == pytest.approx(soup)


def test_only_the_best_are_kept_and_then_none(tmp_path):
    folder = tmp_path / "epochs"
    keep(folder, single(), [4, 1, 3, 2], 2)

    assert sorted(path.name for path in folder.iterdir()) == ["epoch_1.npz", "epoch_3.npz"]

    clear_epochs(folder)
    clear_epochs(folder)
    assert not folder.exists()
