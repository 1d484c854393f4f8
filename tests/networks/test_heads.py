import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_transfer.errors import UnknownName
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.freezing import freeze
from keras_transfer.networks.heads import POOLINGS, build_head
from keras_transfer.networks.network import build_network, members_of

FEATURES = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)  # channels 0 2 4 6 and 1 3 5 7


def identity(shape=(2, 2, 2)):
    """A backbone that hands on what it is given."""
    features = keras.Input(shape)
    return keras.Model(features, keras.layers.Identity()(features), name="backbone")


def built(backbone, head, preprocessing="none"):
    return build_network(backbone, {"label": head}, preprocessing=preprocessing)


def on_identity(classes=2, **head):
    return built(identity(), build_head(classes, **head)).model


def classifier(name, size, head, variant=None):
    backbone = build_backbone(name, image_size=size, variant=variant)
    return built(backbone, head, BACKBONES[name].preprocessing).model


def logits_of(model, pixels, **how):
    return model({"pixels": pixels}, **how)["label"]


def images(count, size):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("float32")


def unsettle(backbone):
    """Give batch normalisation statistics unlike those of any batch."""
    rng = np.random.default_rng(1)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.2, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("avg", [3, 4]),
        ("max", [6, 7]),
        ("avgmax", [3, 4, 6, 7]),
        ("flatten", [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_pooling_of_a_map_worked_out_by_hand(pooling, expected):
    model = on_identity(pooling=pooling)
    pooled = keras.Model(model.input, model.get_layer("pool").output)

    np.testing.assert_array_equal(pooled(FEATURES)[0], expected)


def test_the_logits_are_linear():
    """With kernel 1 and bias -20, average pooling (3, 4) gives 3 + 4 - 20."""
    model = on_identity(classes=3)
    model.get_layer("logits").set_weights([np.ones((2, 3)), np.full(3, -20)])

    np.testing.assert_array_equal(logits_of(model, FEATURES), [[-13, -13, -13]])


def test_the_textbook_head_of_vgg16():
    """Flatten 7 x 7 x 512, Dense 256, one unit a class: 25088 x 256 + 256 + 256 x 2 + 2."""
    head = build_head(2, pooling="flatten", units=(256,), dropout=0.5)
    model = built(identity((7, 7, 512)), head).model

    assert model.count_params() == 6_423_298
    assert [layer.name for layer in model.layers[2:]] == [
        "pool",
        "hidden1",
        "hidden1_activation",
        "hidden1_dropout",
        "logits",
    ]


def test_the_textbook_head_of_resnet50():
    """Average of 2048, Dense 1024: 2048 x 1024 + 1024 + 1024 x 2 + 2."""
    head = build_head(2, units=(1024,))
    model = built(identity((7, 7, 2048)), head).model

    assert model.count_params() == 2_100_226


def test_hidden_layers_follow_each_other_with_batch_normalisation_before_the_activation():
    model = on_identity(units=(5, 4), batch_normalization=True, activation="gelu")

    assert [layer.name for layer in model.layers[3:]] == [
        "hidden1",
        "hidden1_bn",
        "hidden1_activation",
        "hidden2",
        "hidden2_bn",
        "hidden2_activation",
        "logits",
    ]
    assert not model.get_layer("hidden1").use_bias
    assert model.get_layer("hidden2_activation").activation is keras.activations.gelu


def test_dropout_without_hidden_layers_drops_pooled_features():
    """Inputs are dropped or doubled; a kernel of ones shows 0, 6, 8 or 14, never the plain 7."""
    model = on_identity(dropout=0.5)
    model.get_layer("logits").set_weights([np.ones((2, 2)), np.zeros(2)])
    many = np.repeat(FEATURES, 100, axis=0)

    assert set(np.ravel(logits_of(model, many, training=True))) == {0, 6, 8, 14}
    assert set(np.ravel(logits_of(model, many))) == {7}


def test_several_heads_answer_their_mean():
    """Softmax of what comes out is the mean of theirs, also where one is as sure as can be."""
    network = built(identity(), build_head(3, members=3))
    model = network.model
    logits = np.array([[0, 0, 0], [300, 0, -300], [1, 2, 3]], "float64")
    for number, row in enumerate(logits, start=1):
        model.get_layer(f"member{number}_logits").set_weights([np.zeros((2, 3)), row])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    wanted = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)

    np.testing.assert_allclose(np.exp(logits_of(model, FEATURES)[0]), wanted, rtol=1e-5)
    for (member, head), row in zip(members_of(network, "label"), logits, strict=True):
        np.testing.assert_array_equal(logits_of(member.model, FEATURES), [row])
        np.testing.assert_array_equal(head(np.zeros((1, 2)))["label"], [row])


def test_several_heads_pool_once():
    model = on_identity(pooling="max", units=(3,), dropout=0.5, members=2)

    assert [layer.name for layer in model.layers].count("pool") == 1
    assert model.count_params() == 2 * ((2 * 3 + 3) + (3 * 2 + 2))


def test_penalties_worked_out_by_hand():
    """Kernels of ones, 2 x 3 and 3 x 2: 0.1 x 12 absolute values and 0.01 x 12 squares."""
    model = on_identity(units=(3,), l1=0.1, l2=0.01)
    for name, shape in [("hidden1", (2, 3)), ("logits", (3, 2))]:
        layer = model.get_layer(name)
        layer.set_weights([np.ones(shape), np.zeros(shape[1])])

    assert float(sum(model.losses)) == pytest.approx(1.32)


def test_no_penalty_is_no_loss():
    assert on_identity(units=(3,)).losses == []


def test_the_same_seed_makes_the_same_classifier():
    def seeded(seed):
        keras.utils.set_random_seed(seed)
        return classifier("convnet_small", 8, build_head(3, units=(4,))).get_weights()

    first, again, other = seeded(1), seeded(1), seeded(2)

    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[-2], other[-2])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_logits_are_float32_under_mixed_precision(pooling):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = classifier("convnet_small", 8, build_head(3, pooling=pooling, units=(4,)))
        logits = logits_of(model, images(2, 8))
    finally:
        keras.config.set_dtype_policy("float32")

    assert model.get_layer("backbone").get_layer("block1_conv1").compute_dtype == "bfloat16"
    assert model.get_layer("hidden1").compute_dtype == "bfloat16"
    assert logits.dtype == "float32"
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_mixed_precision_computes_nearly_the_same():
    head = build_head(3)
    plain = classifier("convnet_small", 16, head)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = classifier("convnet_small", 16, head)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(plain.get_weights())

    expected = logits_of(plain, images(4, 16)).numpy()

    np.testing.assert_allclose(
        logits_of(mixed, images(4, 16)), expected, atol=0.03 * np.abs(expected).max()
    )


def loss_in_fit_and_in_evaluate(model, x, y):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), {"label": loss})
    x, y = {"pixels": x}, {"label": y}
    fitted = model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"][0]
    return fitted, model.evaluate(x, y, batch_size=8, verbose=0)


@pytest.mark.parametrize(
    ("name", "variant", "unfreeze"),
    [
        pytest.param("mobilenet", {"alpha": 0.25}, None, marks=pytest.mark.slow),
        pytest.param("mobilenet", {"alpha": 0.25}, 0.3, marks=pytest.mark.slow),
        ("mobilenet", {"alpha": 0.25}, "all"),
        pytest.param("efficientnet_b0", {}, "all", marks=pytest.mark.slow),
    ],
)
def test_the_loss_in_fit_is_the_loss_in_evaluate(name, variant, unfreeze):
    """At learning rate 0, on the same images, whatever is unfrozen."""
    keras.utils.set_random_seed(0)
    model = classifier(name, 32, build_head(2, units=(8,)), variant)
    backbone = model.get_layer("backbone")
    unsettle(backbone)
    freeze(backbone, unfreeze)

    fitted, evaluated = loss_in_fit_and_in_evaluate(model, images(24, 32), np.arange(24) % 2)

    assert fitted == pytest.approx(evaluated, rel=1e-5)


def test_the_losses_differ_where_batch_normalisation_is_opened():
    """The reason for keeping it frozen, and proof that the test above can fail."""
    keras.utils.set_random_seed(0)
    model = classifier("mobilenet", 32, build_head(2, units=(8,)), {"alpha": 0.25})
    backbone = model.get_layer("backbone")
    unsettle(backbone)
    freeze(backbone, "all", batch_norm="train")

    fitted, evaluated = loss_in_fit_and_in_evaluate(model, images(24, 32), np.arange(24) % 2)

    assert abs(fitted - evaluated) > 1e-3


def test_the_backbone_of_a_classifier_keeps_its_identity():
    """Weights put into the backbone afterwards are the classifier's."""
    backbone = build_backbone("convnet_small", image_size=8)
    network = built(backbone, build_head(2), "tf")

    assert network.model.get_layer("backbone") is network.backbone is backbone
    inputs, outputs = network.model.input, network.model.output
    assert {name: x.shape for name, x in inputs.items()} == {"pixels": (None, 8, 8, 3)}
    assert {name: x.shape for name, x in outputs.items()} == {"label": (None, 2)}


@pytest.mark.parametrize(
    "cases",
    [
        [("convnet_small", 8, "caffe")],
        pytest.param(  # layers that only Keras's own networks have
            [
                ("convnext_tiny", 32, "none"),
                ("efficientnet_b0", 32, "efficientnet"),
                ("inception_resnet_v2", 75, "tf"),
                ("densenet121", 32, "torch"),
            ],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_saved_classifier_loads_where_this_package_is_not_imported(cases, tmp_path):
    head = build_head(2, pooling="avgmax", units=(4,), dropout=0.1, batch_normalization=True)
    for name, size, mode in cases:
        model = built(build_backbone(name, image_size=size), head, mode).model
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", x=images(2, size), y=logits_of(model, images(2, size)))
    code = """if True:
        import pathlib, sys
        import keras, numpy as np
        for file in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
            seen = np.load(file.with_suffix(".npz"))
            model = keras.saving.load_model(file)
            found = model({"pixels": seen["x"]})["label"]
            np.testing.assert_allclose(found, seen["y"], rtol=1e-4, atol=1e-5)
            print(file.stem)
        assert "keras_transfer" not in sys.modules
    """

    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, cwd=tmp_path
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(name for name, _, _ in cases)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pooling": "average"}, "No pooling is called 'average'"),
        ({"activation": "rellu"}, "Did you mean 'relu'"),
    ],
)
def test_wrong_names_are_answered(wrong, message):
    with pytest.raises(UnknownName, match=message):
        build_head(2, **wrong)
