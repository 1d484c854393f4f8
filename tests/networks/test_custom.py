"""Models of the user's as backbones: what is found in their files, and what is refused."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_transfer.errors import BadConfiguration, BadWeights, UnknownName
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.custom import read_keras_file
from keras_transfer.networks.freezing import freeze
from keras_transfer.networks.weights import copy_backbone_weights, load_backbone_weights

ANY = np.random.default_rng(3)
PIXELS = ANY.uniform(0, 255, (2, 24, 24, 3)).astype("float32")


def base(size=24):
    """A residual network with squeeze and excitation, whose pooling is no head."""
    given = keras.Input((size, size, 3))
    x = layers.Conv2D(4, 3, 2, "same", name="first")(given)
    x = layers.BatchNormalization(name="norm", moving_mean_initializer="ones")(x)
    x = shortcut = layers.ReLU(name="active")(x)
    x = layers.Conv2D(4, 3, padding="same", name="second")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    x = layers.Add(name="sum")([x, shortcut])
    x = layers.Dropout(0.5, name="drop")(x)
    return keras.Model(given, layers.Conv2D(6, 1, name="third")(x), name="base")


def tutorial(head=None):
    """Augmentation, preprocessing, a network inside, pooling and Dense."""
    given = keras.Input((24, 24, 3))
    x = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)], name="augment")(given)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base()(x, training=False)
    x = head(x) if head else layers.GlobalAveragePooling2D(name="pooled")(x)
    return keras.Model(given, layers.Dense(2, name="classes")(layers.Dropout(0.2)(x)))


def stored(model, folder, name="net.keras"):
    model.save(folder / name)
    return read_keras_file(str(folder / name))


def answer(model, *, training=False):
    return np.asarray(model(PIXELS, training=training))


def test_a_network_inside_of_a_network_is_unfolded_and_answers_as_it_did(tmp_path):
    model = tutorial()
    backbone = stored(model, tmp_path).backbone()

    expected = np.asarray(model.get_layer("base")(PIXELS / 127.5 - 1, training=False))
    np.testing.assert_allclose(answer(backbone), expected, rtol=1e-5, atol=1e-5)
    assert backbone.name == "backbone"
    assert [layer.name for layer in backbone.layers if layer.weights] == [
        *("first", "norm", "second", "excite", "third")
    ]


def test_its_dropout_and_augmentation_are_left_out(tmp_path):
    backbone = stored(tutorial(), tmp_path).backbone()
    freeze(backbone, "all")

    np.testing.assert_array_equal(answer(backbone, training=True), answer(backbone))


@pytest.mark.parametrize(
    "head",
    [
        layers.GlobalMaxPooling2D(),
        layers.Flatten(),
        layers.Reshape((-1,)),
        lambda x: keras.ops.mean(x, axis=(1, 2)),
        lambda x: layers.Reshape((5,))(
            layers.Conv2D(5, 1)(layers.GlobalMaxPooling2D(keepdims=True)(x))
        ),
        lambda x: layers.Concatenate()(
            [layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)]
        ),
    ],
)
def test_the_features_are_the_last_map_before_the_head(tmp_path, head):
    assert stored(tutorial(head), tmp_path).features.name == "third"


def test_a_network_without_head_and_a_sequential_one(tmp_path):
    assert stored(base(), tmp_path).features.name == "third"

    model = keras.Sequential(
        [keras.Input((24, 24, 3)), layers.Conv2D(4, 3), layers.ReLU(name="last"), layers.Flatten()]
    )
    file = stored(model, tmp_path)
    assert file.features.name == "last"
    np.testing.assert_allclose(
        answer(file.backbone()), np.asarray(model.layers[1](model.layers[0](PIXELS))), atol=1e-4
    )


@pytest.mark.parametrize(
    ("layer", "shape"), [("active", (12, 12, 4)), ("base", (12, 12, 6)), ("drop", (12, 12, 4))]
)
def test_features_may_be_those_of_any_layer(tmp_path, layer, shape):
    file = stored(tutorial(), tmp_path)

    assert file.backbone(layer).output_shape[1:] == shape


def test_features_that_are_no_map_or_not_there_are_refused(tmp_path):
    file = stored(tutorial(), tmp_path)

    with pytest.raises(UnknownName, match=r"backbone.features: No layer .* Did you mean 'third'"):
        file.backbone("thirds")
    with pytest.raises(BadConfiguration, match=r"features = pooled.*\(None, 6\).*third"):
        file.backbone("pooled")


def tokens(x):
    return layers.GlobalAveragePooling1D()(layers.Dense(3)(layers.Reshape((-1, 6))(x)))


def test_a_network_of_sequences_must_name_its_features(tmp_path):
    file = stored(tutorial(tokens), tmp_path)

    with pytest.raises(BadConfiguration, match=r"sequences .* backbone.features = LAYER.*third"):
        file.backbone()
    assert file.backbone("third").output_shape[-1] == 6


def test_a_network_without_maps_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((24, 24, 3)), layers.Flatten(), layers.Dense(2)])

    with pytest.raises(BadConfiguration, match="no layer that gives a map"):
        stored(model, tmp_path).backbone()


def test_sizes(tmp_path):
    fixed, free = stored(base(), tmp_path, "a.keras"), stored(base(None), tmp_path, "b.keras")

    assert (fixed.size, free.size) == (24, None)
    assert fixed.backbone().input_shape == (None, 24, 24, 3)
    assert free.backbone(image_size=33).output_shape == (None, 17, 17, 6)
    with pytest.raises(BadConfiguration, match="24 x 24 pixels, and image_size = 33"):
        fixed.backbone(image_size=33)
    with pytest.raises(BadConfiguration, match="images of any size"):
        free.backbone()


@pytest.mark.parametrize(
    ("shape", "said"), [((8, 8, 1), "8, 8, 1"), ((8, 9, 3), "8 x 9"), ((192,), "192")]
)
def test_other_inputs_are_refused(tmp_path, shape, said):
    given = keras.Input(shape)

    with pytest.raises(BadConfiguration, match=said):
        stored(keras.Model(given, layers.ReLU()(given)), tmp_path)


def test_two_inputs_are_refused(tmp_path):
    one, other = keras.Input((8, 8, 3), name="one"), keras.Input((8, 8, 3), name="other")

    with pytest.raises(BadConfiguration, match=r"2 inputs \(one, other\)"):
        stored(keras.Model([one, other], one + other), tmp_path)


class Own(layers.Layer):
    """A layer whose code is not in the file."""

    def call(self, x):
        return x


class Subclassed(keras.Model):
    """A model whose graph is not in the file."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Conv2D(2, 1)

    def call(self, x):
        return self.inner(x)


def test_code_of_the_file_is_refused(tmp_path):
    given = keras.Input((8, 8, 3))
    with pytest.raises(BadConfiguration, match=r"classes of its own \(Own\)"):
        stored(keras.Model(given, Own()(given)), tmp_path)
    subclassed = Subclassed()
    subclassed(PIXELS)
    with pytest.raises(BadConfiguration, match=r"classes of its own \(Subclassed\)"):
        stored(subclassed, tmp_path)
    with pytest.raises(BadWeights, match=r"Lambda.*not loaded.*Rescaling"):
        stored(keras.Model(given, layers.Lambda(lambda x: x + 1)(given)), tmp_path)
    with pytest.raises(BadConfiguration, match="known input"):
        stored(keras.Sequential([layers.Conv2D(2, 1)]), tmp_path)
    with pytest.raises(BadWeights, match="does not exist"):
        read_keras_file(str(tmp_path / "none.keras"))


def twice(name):
    return keras.Sequential(
        [keras.Input((24, 24, 3)), layers.Conv2D(3, 3, padding="same", name="conv")], name=name
    )


def test_layers_of_one_name_get_names_of_their_own_and_shared_ones_stay_shared(tmp_path):
    given = keras.Input((24, 24, 3))
    one, other = twice("one"), twice("other")
    model = keras.Model(given, other(one(one(given))))
    backbone = stored(model, tmp_path).backbone()

    np.testing.assert_allclose(answer(backbone), answer(model), rtol=1e-5, atol=1e-3)
    assert [layer.name for layer in backbone.layers[1:]] == ["conv", "other_conv"]


def scaled():
    scale = layers.Normalization(name="scale")
    scale.adapt(PIXELS)
    given = keras.Input((24, 24, 3))
    return keras.Model(given, layers.Conv2D(4, 3, name="first")(scale(given)))


def test_random_weights_keep_what_normalizes_pixels(tmp_path):
    file = stored(scaled(), tmp_path)
    pretrained, fresh = file.backbone(), file.backbone(pretrained=False)

    assert file.scales
    assert file.start == ["Normalization", "Conv2D"]
    statistics = [b.get_layer("scale").get_weights() for b in (pretrained, fresh)]
    for one, other in zip(*statistics, strict=True):
        np.testing.assert_array_equal(one, other)
    kernels = [b.get_layer("first").get_weights()[0] for b in (pretrained, fresh)]
    assert not np.array_equal(*kernels)
    copy_backbone_weights(pretrained, fresh)
    np.testing.assert_array_equal(answer(fresh), answer(pretrained))


def test_operations_that_scale_are_noticed(tmp_path):
    file = stored(tutorial(), tmp_path)

    assert file.scales
    assert file.start == ["TrueDivide", "Subtract", "Conv2D"]
    assert not stored(base(), tmp_path).scales


def test_weights_of_another_file_fit(tmp_path):
    file, other = stored(base(), tmp_path), base()
    other.save_weights(tmp_path / "other.weights.h5")
    backbone = file.backbone(pretrained=False)
    load_backbone_weights(backbone, str(tmp_path / "other.weights.h5"), name="net.keras")

    np.testing.assert_allclose(answer(backbone), answer(other), rtol=1e-5, atol=1e-3)
    stored(scaled(), tmp_path, "b.keras")
    with pytest.raises(BadWeights, match=r"does not fit net\.keras"):
        load_backbone_weights(backbone, str(tmp_path / "b.keras"), name="net.keras")


def test_it_computes_in_the_precision_of_the_run_but_scales_pixels_in_float32(tmp_path):
    file = stored(scaled(), tmp_path)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        backbone = file.backbone()
    finally:
        keras.config.set_dtype_policy("float32")

    assert [layer.compute_dtype for layer in backbone.layers[1:]] == ["float32", "bfloat16"]


def test_layers_are_blocks_where_no_family_is_known(tmp_path):
    backbone = stored(tutorial(), tmp_path).backbone()
    names = {block: [x.name for x in inside] for block, inside in blocks(backbone).items()}

    assert names["norm"] == ["norm", "active"]
    assert [*names] == ["first", "norm", "second", "excite", "third"]
    freeze(backbone, "second")
    assert [x.name for x in backbone.layers if x.trainable_weights] == ["second", "excite", "third"]
    freeze(backbone, 0.4)  # 2 of 5
    assert [x.name for x in backbone.layers if x.trainable_weights] == ["excite", "third"]
    with pytest.raises(UnknownName, match="There are: first, norm, second, excite, third, all"):
        freeze(backbone, "block5")


def test_a_network_without_weights_is_one_block():
    given = keras.Input((8, 8, 3))

    assert len(blocks(keras.Model(given, layers.ReLU()(layers.MaxPooling2D()(given))))) == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "mobilenet_v2" else pytest.mark.slow)
        for name in [
            *("mobilenet", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "densenet121"),
            *("efficientnet_v2_b0", "nasnet_mobile", "resnet50", "inception_v3", "xception"),
        ]
    ],
)
def test_a_published_network_with_top_is_cut_to_the_one_without(tmp_path, name):
    row = BACKBONES[name]
    size = max(row.least, 64)
    constructor = getattr(keras.applications, row.constructor.partition(":")[2])
    model = constructor(weights=None, input_shape=(size, size, 3), classes=5)
    found, expected = stored(model, tmp_path).backbone(), build_backbone(name, image_size=size)
    expected.set_weights(found.get_weights())

    assert [*blocks(found)] == [*blocks(expected)]
    pixels = ANY.uniform(-1, 1, (1, size, size, 3)).astype("float32")
    np.testing.assert_allclose(found(pixels), expected(pixels), rtol=1e-5, atol=1e-6)
