import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.convnet_small import convnet_small
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
def test_the_maps_are_halved_twice(size):
    backbone = build_backbone("convnet_small", image_size=size)

    assert backbone.output_shape == (None, size // 4, size // 4, 128)


@pytest.mark.parametrize("wish", [{"include_top": True}, {"weights": "imagenet"}])
def test_what_it_has_not_it_does_not_give(wish):
    with pytest.raises(ValueError, match="neither a top nor published weights"):
        convnet_small(input_shape=(8, 8, 3), **wish)


@pytest.mark.slow
def test_it_learns_the_digits_0_to_4():
    digits, labels = load_digits(n_class=5, return_X_y=True)
    pixels = np.repeat(digits.reshape(-1, 8, 8, 1) * 255 / 16, 3, axis=-1).astype("float32")
    keras.utils.set_random_seed(0)
    backbone, head = build_backbone("convnet_small", image_size=8), build_head(5, pooling="flatten")
    model = build_network(backbone, {"label": head}, preprocessing="tf").model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", {"label": loss}, metrics={"label": ["accuracy"]})

    model.fit({"pixels": pixels[:700]}, {"label": labels[:700]}, epochs=15, verbose=0)

    test = {"pixels": pixels[700:]}, {"label": labels[700:]}
    assert model.evaluate(*test, return_dict=True, verbose=0)["accuracy"] >= 0.98
