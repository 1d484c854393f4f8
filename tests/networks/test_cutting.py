"""Cutting a network in two: the parts answer as the network, and cuts lie where they can."""

import keras
import numpy as np
import pytest

from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.cutting import cut_network, fingerprint
from keras_transfer.networks.freezing import freeze
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network


def classifier(name, size=None, **head):
    row = BACKBONES[name]
    backbone = build_backbone(name, image_size=size or max(row.least, 64))
    head = build_head(3, **{"units": (8,), "dropout": 0.3, **head})
    network = build_network(backbone, {"label": head}, preprocessing=row.preprocessing)
    return backbone, network.model


def pixels(model, n=2):
    shape = (n, *model.inputs[0].shape[1:])
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def answers(model, x):
    """Logits by the network, from pixels, or by its trainable part, from features."""
    given = {next(iter(model.input)): x} if isinstance(model.input, dict) else x
    found = model(given, training=False)
    return np.asarray(found["label"] if isinstance(found, dict) else found)


@pytest.mark.parametrize(
    ("name", "unfreeze", "boundary"),
    [
        ("vgg16", None, "pool"),
        ("vgg16", "block5", "block4_pool"),
        ("vgg16", "block5_conv2", "block5_conv1"),
        ("resnet50", "conv5", "conv4_block6_out"),
        # In the middle of a residual block the skip has to be carried too: the cut moves up.
        ("resnet50", "conv5_block2_2_conv", "conv5_block1_out"),
        ("mobilenet_v2", "block_13", "block_12_add"),
        ("efficientnet_b0", "block4", "block3b_add"),
        ("densenet121", "conv5", "pool4_pool"),
        # Dense blocks grow: behind each concatenation one tensor carries all.
        ("densenet121", "conv5_block11_1_conv", "conv5_block10_concat"),
        ("inception_v3", "mixed10", "mixed9"),
        # Cells of a NASNet take the outputs of the last two: only the stem can be cut off.
        ("nasnet_mobile", "normal_12", "stem_bn1"),
        ("convnext_tiny", "stage_0", "convnext_tiny_stem"),
    ],
)
def test_the_parts_answer_as_the_network(name, unfreeze, boundary):
    backbone, model = classifier(name)
    freeze(backbone, unfreeze)

    cut = cut_network(model)

    x = pixels(model)
    whole = answers(model, x)
    assert cut.boundary == boundary
    assert answers(cut.trainable, answers(cut.frozen, x)) == pytest.approx(whole, abs=1e-6)
    assert not cut.frozen.trainable_weights
    trained = [id(w) for w in cut.trainable.trainable_weights]
    assert sorted(trained) == sorted(id(w) for w in model.trainable_weights)


@pytest.mark.parametrize(
    ("part", "boundary"),
    [("bias", "block_13_expand"), ("norm", "block_13_expand"), ("lora", "block_12_add")],
)
def test_few_weights_are_cut_before_the_first_that_trains(part, boundary):
    """The first convolution of block_13 has no bias; batch normalisation follows it."""
    backbone, model = classifier("mobilenet_v2")
    freeze(backbone, "block_13", trainable=part)

    cut = cut_network(model)

    assert cut.boundary == boundary
    assert not cut.frozen.trainable_weights
    trained = [id(w) for w in cut.trainable.trainable_weights]
    assert sorted(trained) == sorted(id(w) for w in model.trainable_weights)
    x = pixels(model)
    whole = answers(model, x)
    assert answers(cut.trainable, answers(cut.frozen, x)) == pytest.approx(whole, abs=1e-6)


def rest_of_the_table():
    chosen = {"vgg16", "resnet50", "densenet121", "inception_v3", "convnext_tiny"}
    large = {"nasnet_large", "efficientnet_v2_l", "convnext_large", "convnext_xlarge"}
    return [
        pytest.param(name, marks=[] if name in chosen else pytest.mark.slow)
        for name, row in BACKBONES.items()
        if name not in large and row.hub is None
    ]


@pytest.mark.parametrize("name", rest_of_the_table())
def test_every_block_of_every_network_can_be_a_boundary(name):
    """Whatever is unfrozen, the parts share all that trains, and answer as the network."""
    backbone, model = classifier(name, units=())
    x = pixels(model, 1)
    whole = answers(model, x)
    names = list(blocks(backbone))
    for unfreeze in (None, names[-1], names[len(names) // 2], names[1], 0.1):
        freeze(backbone, unfreeze)
        cut = cut_network(model)
        assert not cut.frozen.trainable_weights
        assert len(cut.trainable.trainable_weights) == len(model.trainable_weights)
        halves = answers(cut.trainable, answers(cut.frozen, x))
        assert halves == pytest.approx(whole, abs=1e-5), unfreeze


@pytest.mark.parametrize("name", ["vgg16", "efficientnet_b0", "convnet_small"])
def test_where_everything_trains_nothing_is_cut_off(name):
    """EfficientNet's first layers have weights, means of pixels, but nothing to save."""
    backbone, model = classifier(name)
    freeze(backbone, "all")

    assert cut_network(model) is None


def test_batch_normalisation_that_trains_is_not_cut_off():
    backbone, model = classifier("mobilenet_v2")
    freeze(backbone, "block_15", "train")
    after = cut_network(model)

    names = {layer.name for layer in after.frozen._flatten_layers()}
    assert after.boundary == "block_14_add"
    assert "block_15_expand_BN" not in names


@pytest.mark.parametrize(
    ("pooling", "shape"), [("avg", (128,)), ("avgmax", (256,)), ("flatten", (16 * 16 * 128,))]
)
def test_pooling_belongs_to_what_is_cut_off_and_dropout_does_not(pooling, shape):
    backbone, model = classifier("convnet_small", pooling=pooling, units=(), dropout=0.5)
    freeze(backbone)

    cut = cut_network(model)

    assert cut.frozen.output_shape == (None, *shape)
    left = [layer.name for layer in cut.trainable._flatten_layers() if "drop" in layer.name]
    assert left == ["dropout"]


def test_what_the_trainable_part_learns_the_network_has_learnt():
    backbone, model = classifier("convnet_small")
    freeze(backbone, "block3")
    cut = cut_network(model)
    x = pixels(model)
    features = answers(cut.frozen, x)
    before = answers(model, x)

    cut.trainable.compile("sgd", "mse", jit_compile=False)
    cut.trainable.fit({"features": features}, {"label": np.ones((2, 3))}, verbose=0)

    assert not np.allclose(answers(model, x), before)
    assert answers(cut.trainable, features) == pytest.approx(answers(model, x), abs=1e-6)


SIX = [
    ("vgg16", "block5"),
    ("resnet50", "conv5"),
    ("mobilenet_v2", "block_13"),
    ("efficientnet_b0", "block6"),
    ("densenet121", "conv5"),
    ("inception_v3", "mixed8"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "unfreeze"), SIX)
def test_after_training_on_features_the_network_answers_as_its_parts_do(name, unfreeze):
    """On raw images, in the graphs that ``fit`` and ``predict`` make."""
    backbone, model = classifier(name, 96)
    freeze(backbone, unfreeze)
    cut = cut_network(model)
    x = pixels(model, 8)
    before = model.predict({"pixels": x}, verbose=0)["label"]
    features = cut.frozen.predict(x, verbose=0)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    cut.trainable.compile(keras.optimizers.SGD(1e-2), {"label": loss}, jit_compile=False)
    given, labels = {"features": features}, {"label": np.arange(8) % 3}
    cut.trainable.fit(given, labels, batch_size=4, epochs=2, verbose=0)

    whole = model.predict({"pixels": x}, verbose=0)["label"]
    parts = cut.trainable.predict(given, verbose=0)["label"]
    assert np.abs(whole - before).max() > 1e-4
    assert parts == pytest.approx(whole, abs=1e-4 * float(np.abs(whole).max()))


def test_a_network_that_was_cut_is_saved_complete(tmp_path):
    backbone, model = classifier("resnet50")
    freeze(backbone, "conv5")
    cut = cut_network(model)
    cut.trainable(answers(cut.frozen, pixels(model)))

    model.save(tmp_path / "m.keras")

    again = keras.models.load_model(tmp_path / "m.keras")
    assert answers(again, pixels(model)) == pytest.approx(answers(model, pixels(model)), abs=1e-6)


def test_a_trainable_part_can_be_cut_further():
    """What the head stage needs is made from what the tune stage needs."""
    backbone, model = classifier("resnet50")
    freeze(backbone, "conv5")
    early = cut_network(model)
    freeze(backbone)
    late, step = cut_network(model), early.further()

    x = pixels(model)
    through = answers(step.frozen, answers(early.frozen, x))
    assert (late.boundary, step.boundary) == ("pool", "pool")
    assert through == pytest.approx(answers(late.frozen, x), abs=1e-6)


class TestFingerprint:
    @pytest.fixture
    def frozen(self):
        """A function that builds the same network anew, from a fixed seed."""

        def build(name="convnext_tiny", size=64, unfreeze=None, **head):
            keras.utils.set_random_seed(0)
            backbone, model = classifier(name, size, **head)
            freeze(backbone, unfreeze)
            return cut_network(model).frozen

        return build

    def test_is_the_same_for_the_same_network_built_again(self, frozen):
        """Though Keras numbers the names of its layers on."""
        assert fingerprint(frozen()) == fingerprint(frozen())

    @pytest.mark.parametrize(
        "other",
        [{"size": 96}, {"unfreeze": 0.2}, {"pooling": "max"}, {"name": "convnext_small"}],
        ids=str,
    )
    def test_differs_for_another(self, frozen, other):
        assert fingerprint(frozen()) != fingerprint(frozen(**other))

    def test_differs_after_one_weight_has_moved(self, frozen):
        network = frozen("convnet_small")
        before = fingerprint(network)
        kernel = next(w for w in network.weights if len(w.shape) == 4)
        value = np.array(kernel)
        value[0, 0, 0, 0] = np.nextafter(value[0, 0, 0, 0], np.float32(9))
        kernel.assign(value)

        assert fingerprint(network) != before

    def test_does_not_depend_on_the_head(self, frozen):
        assert fingerprint(frozen(units=(5,))) == fingerprint(frozen(units=(), dropout=0.1))
