import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from keras_transfer.errors import BadWeights
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network
from keras_transfer.networks.preprocessing import preprocess
from keras_transfer.networks.weights import (
    copy_backbone_weights,
    load_backbone_weights,
    load_source_classifier,
    verify_weights,
)

QUARTER = {"alpha": 0.25}


def network(name="mobilenet", size=32, variant=QUARTER, seed=0):
    """A backbone in which every weight is random, so that no two arrays are alike."""
    backbone = build_backbone(name, image_size=size, variant=variant)
    rng = np.random.default_rng(seed)
    for weight in backbone.weights:
        weight.assign(
            rng.integers(1, 9, weight.shape) if weight.ndim == 0 else rng.uniform(size=weight.shape)
        )
    return backbone


def small(seed=0, size=8):
    return network("convnet_small", size, {}, seed)


def classifier_of(backbone, name="mobilenet"):
    head = build_head(3, units=(5, 4), dropout=0.5, batch_normalization=True)
    mode = BACKBONES[name].preprocessing
    return build_network(backbone, {"label": head}, preprocessing=mode).model


def with_top(backbone, constructor="MobileNet", **options):
    model = getattr(keras.applications, constructor)(
        weights=None, input_shape=backbone.input_shape[1:], **options
    )
    for layer, source in zip(model.layers, backbone.layers, strict=False):
        layer.set_weights(source.get_weights())
    return model


def keras2(model, path):
    """Write the layout of the files that keras.applications downloads."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


WRITERS = {
    "backbone.weights.h5": lambda backbone, path: backbone.save_weights(path),
    "backbone.keras": lambda backbone, path: backbone.save(path),
    "backbone_keras2.h5": keras2,
    "backbone_keras2_model.h5": lambda backbone, path: legacy_h5_format.save_model_to_hdf5(
        backbone, str(path)
    ),
    "classifier.weights.h5": lambda backbone, path: classifier_of(backbone).save_weights(path),
    "classifier.keras": lambda backbone, path: classifier_of(backbone).save(path),
    "top.weights.h5": lambda backbone, path: with_top(backbone, **QUARTER).save_weights(path),
    "top_keras2.h5": lambda backbone, path: keras2(with_top(backbone, **QUARTER), path),
}


def assert_equal_weights(one, other):
    for ours, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


@pytest.mark.parametrize("file", WRITERS)
def test_every_weight_comes_from_the_file(file, tmp_path):
    source, target = network(), network(seed=1)
    WRITERS[file](source, tmp_path / file)

    load_backbone_weights(target, str(tmp_path / file), name="mobilenet", variant=QUARTER)

    assert_equal_weights(target, source)


def keras2_model(model, path):
    legacy_h5_format.save_model_to_hdf5(model, str(path))


def keras3_model(model, path):
    model.save(path)


def as_functional(base):
    """As tutorials on transfer learning do it."""
    inputs = keras.Input(base.input_shape[1:])
    x = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 255)(inputs)))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(8)(x)))


def as_sequential(base):
    return keras.Sequential([base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])


def twice(base):
    return keras.Sequential([as_functional(base), keras.layers.Dense(2)])


def trained(base):
    """Nothing frozen: a list of weights has those of training first, then the statistics."""


def frozen(base):
    base.trainable = False


def half_frozen(base):
    """What trains comes first, so the later layers stand before the earlier ones."""
    for layer in base.layers[: len(base.layers) // 2]:
        layer.trainable = False


def statistics_frozen(base):
    for layer in base.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)


@pytest.mark.parametrize("freeze", [trained, frozen, half_frozen, statistics_frozen])
@pytest.mark.parametrize("nest", [as_functional, as_sequential, twice])
@pytest.mark.parametrize(
    "write", [keras2, keras2_model, keras3_model], ids=["h5", "model.h5", ".keras"]
)
def test_the_backbone_is_found_inside_of_a_classifier(write, nest, freeze, tmp_path):
    base, target = small(size=16), small(1, size=16)
    freeze(base)
    path = tmp_path / ("model.keras" if write is keras3_model else "model.h5")
    write(nest(base), path)

    load_backbone_weights(target, str(path), name="convnet_small")

    assert_equal_weights(target, base)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("efficientnet_b0", 32),  # a normalisation without anything to train
        pytest.param("convnext_tiny", 32, marks=pytest.mark.slow),  # layers inside layers
        pytest.param("xception", 71, marks=pytest.mark.slow),  # layers that Keras named
        pytest.param("inception_v3", 75, marks=pytest.mark.slow),
        pytest.param("mobilenet_v3_large", 32, marks=pytest.mark.slow),
    ],
)
def test_each_sort_of_layer_is_found_inside_of_a_classifier(name, size, tmp_path):
    """Trained in part: neither the order of the list nor Keras's own numbers are those here."""
    base, target = (network(name, size, {}, seed) for seed in range(2))
    half_frozen(base)
    keras2_model(as_functional(base), tmp_path / "model.h5")

    load_backbone_weights(target, str(tmp_path / "model.h5"), name=name)

    assert_equal_weights(target, base)


def test_a_file_of_keras_2_with_its_own_names(tmp_path):
    """By hand, as tf.keras 2.15 wrote it: ``layer/variable:0``, what trains first."""
    base, target = small(), small(1)
    arrays = {}
    for layer in base.layers:
        for weight in layer.weights:
            arrays[f"{layer.name}/{weight.name}:0"] = weight.numpy()
    names = sorted(arrays, key=lambda name: ("moving" in name, "block1" in name))
    head = {"dense/kernel:0": np.ones((128, 2)), "dense/bias:0": np.ones(2)}
    with h5py.File(tmp_path / "model.h5", "w") as file:
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"input_2", b"convnet_small", b"dense"]
        for layer, own in (("input_2", {}), ("convnet_small", arrays), ("dense", head)):
            group = root.create_group(layer)
            order = names if own is arrays else list(own)
            group.attrs["weight_names"] = [name.encode() for name in order]
            for name, array in own.items():
                group[name] = array

    load_backbone_weights(target, str(tmp_path / "model.h5"), name="convnet_small")

    assert_equal_weights(target, base)


def test_another_network_inside_of_a_classifier_is_refused_in_few_words(tmp_path):
    keras2_model(as_functional(network(variant={"alpha": 0.5})), tmp_path / "model.h5")

    message = refusal(network(), tmp_path / "model.h5", "mobilenet", QUARTER)

    assert "layer 'conv1' wants (3, 3, 3, 8), it holds (3, 3, 3, 16) as 'conv1'" in message
    assert len(message) - len(str(tmp_path)) < 250


def test_a_list_without_names_is_refused_in_few_words(tmp_path):
    """Which of 36 arrays belongs to which layer cannot be known."""
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["layer_names"] = [b"base"]
        group = file.create_group("base")
        group.attrs["weight_names"] = [f"weight_{n}".encode() for n in range(36)]
        for number in range(36):
            group[f"weight_{number}"] = np.ones((3, 3))

    message = refusal(small(), tmp_path / "model.h5")

    assert "it holds (3, 3), (3, 3), (3, 3), (3, 3), (3, 3), (3, 3) and 30 more" in message


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "size", "file"),
    [
        ("convnext_tiny", 32, "w.weights.h5"),  # layers inside layers
        ("efficientnet_b0", 32, "w.h5"),  # a normalisation with weights
        ("convnet_small", 8, "w.h5"),
        pytest.param("convnext_tiny", 32, "w.h5", marks=SLOW),
        pytest.param("efficientnet_b0", 32, "w.weights.h5", marks=SLOW),
        pytest.param("xception", 71, "w.h5", marks=SLOW),  # separable convolutions, unnamed layers
        pytest.param("xception", 71, "w.weights.h5", marks=SLOW),
        pytest.param("inception_resnet_v2", 75, "w.weights.h5", marks=SLOW),
        pytest.param("nasnet_mobile", 32, "w.weights.h5", marks=SLOW),
        pytest.param("mobilenet_v3_large", 32, "w.h5", marks=SLOW),
    ],
)
def test_each_sort_of_layer_is_read_as_keras_reads_it(name, size, file, tmp_path):
    source, target, reference = (network(name, size, {}, seed) for seed in range(3))
    (keras2 if file == "w.h5" else keras.Model.save_weights)(source, tmp_path / file)
    reference.load_weights(tmp_path / file)

    load_backbone_weights(target, str(tmp_path / file), name=name)

    assert_equal_weights(target, reference)
    assert_equal_weights(target, source)


def test_normalisation_computes_with_the_weights_that_it_is_given():
    """The layer keeps a copy of them, which assigning alone does not renew."""
    source, target = network("efficientnet_b0", 32, {}), network("efficientnet_b0", 32, {}, 1)

    copy_backbone_weights(source, target)

    layer = target.layers[2]
    np.testing.assert_array_equal(np.ravel(layer.mean), layer.adapt_mean.numpy())


TOPS = [
    ("VGG16", "vgg16"),
    ("MobileNetV3Small", "mobilenet_v3_small"),
    ("NASNetMobile", "nasnet_mobile"),
    ("DenseNet121", "densenet121"),
    ("InceptionV3", "inception_v3"),
    ("EfficientNetV2B0", "efficientnet_v2_b0"),
]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5"])
@pytest.mark.parametrize(("constructor", "name"), TOPS)
def test_a_classifier_of_keras_with_its_top_gives_its_backbone(constructor, name, file, tmp_path):
    size = BACKBONES[name].least
    source = network(name, size, {})
    model = with_top(source, constructor)
    (keras2 if file == "w.h5" else keras.Model.save_weights)(model, tmp_path / file)
    target = network(name, size, {}, 1)

    load_backbone_weights(target, str(tmp_path / file), name=name)

    assert_equal_weights(target, source)


def test_none_leaves_it_as_it_is():
    backbone = small()

    load_backbone_weights(backbone, "none", name="convnet_small")

    assert_equal_weights(backbone, small())


def test_the_size_of_the_images_does_not_matter(tmp_path):
    small().save_weights(tmp_path / "w.weights.h5")
    target = small(seed=1, size=16)

    load_backbone_weights(target, str(tmp_path / "w.weights.h5"), name="convnet_small")

    assert_equal_weights(target, small())


def refusal(backbone, path, name="convnet_small", variant=None):
    """The message with which a file is refused; nothing of the backbone may have changed."""
    before = [weight.numpy() for weight in backbone.weights]
    with pytest.raises(BadWeights) as error:
        load_backbone_weights(backbone, str(path), name=name, variant=variant)
    for weight, old in zip(backbone.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)
    return str(error.value)


@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5", "w.keras"])
def test_another_variant_is_refused_at_the_first_layer_that_differs(file, tmp_path):
    """MobileNet's first convolution has 32 filters times alpha."""
    path = tmp_path / file
    {"w.h5": keras2, "w.keras": keras.Model.save}.get(file, keras.Model.save_weights)(
        network(variant={"alpha": 0.5}), path
    )

    message = refusal(network(), path, "mobilenet", QUARTER)

    assert message == (
        f"{path} does not fit mobilenet: layer 'conv1' wants (3, 3, 3, 8), it holds (3, 3, 3, 16) "
        "as 'conv1'. Is it of another variant (alpha = 0.25, 0.5, 0.75, 1.0)?"
    )


@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5"])
def test_another_network_is_refused_and_recognised(file, tmp_path):
    """VGG19 has a fourth convolution of 256 in block 3, where VGG16 goes on to 512."""
    path = tmp_path / file
    vgg19 = build_backbone("vgg19", image_size=32)
    keras2(vgg19, path) if file == "w.h5" else vgg19.save_weights(path)

    message = refusal(build_backbone("vgg16", image_size=32), path, "vgg16")

    assert message == (
        f"{path} does not fit vgg16: layer 'block4_conv1' wants (3, 3, 256, 512), it holds "
        "(3, 3, 256, 256) as 'block3_conv4'. It has as many parameters as vgg19."
    )


@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5"])
def test_a_network_that_goes_on_is_refused(file, tmp_path):
    """Ours fits its beginning, which is no reason to take it."""
    path = tmp_path / file
    backbone = build_backbone("convnet_small", image_size=8)
    x = backbone.output
    for number in range(4):
        x = keras.layers.Conv2D(8, 3, padding="same", name=f"block4_conv{number}")(x)
    longer = keras.Model(backbone.input, x)
    keras2(longer, path) if file == "w.h5" else longer.save_weights(path)

    message = refusal(backbone, path)

    assert "it holds 4 layers more, such as 'block4_conv0'" in message


@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5"])
def test_a_network_that_stops_early_is_refused(file, tmp_path):
    path = tmp_path / file
    backbone = build_backbone("convnet_small", image_size=8)
    shorter = keras.Model(backbone.input, backbone.get_layer("block3_conv1").output)
    keras2(shorter, path) if file == "w.h5" else shorter.save_weights(path)

    message = refusal(backbone, path)

    assert "it holds nothing for layer 'block3_bn1', which wants (128,), (128,)" in message


def test_a_missing_array_is_noticed(tmp_path):
    path = tmp_path / "w.weights.h5"
    small().save_weights(path)
    with h5py.File(path, "a") as file:
        del file["layers/batch_normalization_5/vars/3"]

    message = refusal(small(), path)

    assert (
        "layer 'block3_bn2' wants (128,), (128,), (128,), (128,), it holds (128,), (128,)"
        in message
    )


def broken(kind, tmp_path):
    whole = tmp_path / "whole.weights.h5"
    small().save_weights(whole)
    if kind == "truncated.keras":
        small().save(tmp_path / "whole.keras")
        return (tmp_path / "whole.keras").read_bytes()[:-100]
    return {
        "empty.weights.h5": b"",
        "truncated.weights.h5": whole.read_bytes()[:-1000],
        "page.h5": b"<!DOCTYPE html><html>not found</html>",
        "pointer.h5": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["empty.weights.h5", "truncated.weights.h5", "truncated.keras", "page.h5", "pointer.h5"],
)
def test_broken_files_are_named_with_their_size_and_beginning(kind, tmp_path):
    content = broken(kind, tmp_path)
    path = tmp_path / kind
    path.write_bytes(content)

    message = refusal(small(), path)

    assert message.startswith(f"{path} cannot be read as weights")
    assert f"{len(content)} bytes long and begins with {content[:24]!r}" in message


@pytest.mark.parametrize("path", ["nowhere/w.weights.h5", "imagnet", "."])
def test_a_missing_file_is_named(path):
    assert f"The weights file {path}" in refusal(small(), path)


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.zeros(3)

    assert "not one of weights saved by Keras" in refusal(small(), tmp_path / "data.h5")


def test_a_keras_file_without_weights_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")

    assert "model.weights.h5" in refusal(small(), tmp_path / "m.keras")


def test_copying_takes_every_weight_at_any_size():
    source, target = small(), small(seed=1, size=16)

    copy_backbone_weights(source, target)

    assert_equal_weights(target, source)


def test_copying_from_another_network_names_the_first_layer_that_differs():
    source, target = network(variant={"alpha": 0.5}), network()

    with pytest.raises(BadWeights, match=r"layer 'conv1' wants \(3, 3, 3, 8\), it holds"):
        copy_backbone_weights(source, target)


def test_copying_from_a_longer_or_shorter_network_is_refused():
    whole = build_backbone("convnet_small", image_size=8)
    part = keras.Model(whole.input, whole.get_layer("block3_bn1").output)

    with pytest.raises(BadWeights, match="the source has 2 layers more"):
        copy_backbone_weights(whole, part)
    with pytest.raises(BadWeights, match="it holds nothing for layer 'block3_conv2'"):
        copy_backbone_weights(part, whole)


def test_verifying_says_nothing_of_a_good_file_and_names_a_bad_one(tmp_path):
    path = tmp_path / "w.weights.h5"
    network().save_weights(path)

    verify_weights(path, "mobilenet", QUARTER)
    with pytest.raises(BadWeights, match="does not fit mobilenet"):
        verify_weights(path, "mobilenet")


def test_verifying_holds_a_published_name_against_its_hash(tmp_path):
    path = tmp_path / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    keras2(build_backbone("vgg16", image_size=32), path)

    with pytest.raises(BadWeights, match="not 6d6bbae143d832006294945121d1f1fc"):
        verify_weights(path, "vgg16")


@pytest.mark.real_data
@pytest.mark.parametrize("suffix", ["", "_no_top"])
def test_real_weights_give_the_features_that_keras_gives(suffix, shared_weights):
    file = shared_weights / f"mobilenet_v2_1.0_224{suffix}.weights.h5"
    theirs = keras.applications.MobileNetV2(include_top=not suffix, weights=None)
    theirs.load_weights(file)
    backbone = build_backbone("mobilenet_v2")
    inputs = np.linspace(-1, 1, 224 * 224 * 3, dtype="float32").reshape(1, 224, 224, 3)

    load_backbone_weights(backbone, str(file), name="mobilenet_v2")

    features = keras.Model(theirs.input, theirs.get_layer("out_relu").output)
    np.testing.assert_allclose(backbone(inputs), features(inputs), atol=1e-5)


@pytest.mark.real_data
def test_real_weights_of_another_width_are_refused(shared_weights):
    path = shared_weights / "mobilenet_v2_0.35_224_no_top.weights.h5"

    message = refusal(build_backbone("mobilenet_v2", image_size=32), path, "mobilenet_v2")

    assert "layer 'Conv1' wants (3, 3, 3, 32), it holds (3, 3, 3, 16)" in message


@pytest.mark.real_data
def test_real_dogs_are_dogs(shared_weights, shared_data):
    """ImageNet's classes 151 to 268 are breeds of dogs; raw pixels go in."""
    pixels = keras.Input((224, 224, 3))
    network = keras.applications.MobileNetV2(weights=None)
    network.load_weights(shared_weights / "mobilenet_v2_1.0_224.weights.h5")
    mode = BACKBONES["mobilenet_v2"].preprocessing
    model = keras.Model(pixels, network(preprocess(pixels, mode)))
    files = sorted((shared_data / "cats_dogs" / "test" / "dog").iterdir())[:20]
    images = [
        keras.utils.img_to_array(keras.utils.load_img(file, target_size=(224, 224)))
        for file in files
    ]

    top = np.argmax(model.predict(np.stack(images), verbose=0), axis=-1)

    assert np.mean((top >= 151) & (top <= 268)) >= 0.85


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_the_classifier_of_a_file_gives_the_probabilities_of_its_network(tmp_path, suffix):
    full = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, classes=7
    )
    path = tmp_path / f"full{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, full)
    else:
        (full.save if suffix == ".keras" else full.save_weights)(path)
    backbone = build_backbone("mobilenet_v2", image_size=32, variant={"alpha": 0.35})
    load_backbone_weights(backbone, str(path), name="mobilenet_v2", variant={"alpha": 0.35})
    pixels = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 3)).astype("float32")
    features = keras.ops.convert_to_numpy(backbone(pixels)).mean(axis=(1, 2))

    found = load_source_classifier(path, backbone, name="mobilenet_v2")
    expected = keras.ops.convert_to_numpy(full(pixels, training=False))
    assert found.probabilities(features) == pytest.approx(expected, abs=1e-6)


def test_a_file_without_top_or_with_hidden_layers_has_no_classifier(tmp_path):
    backbone = small()
    backbone.save_weights(tmp_path / "plain.weights.h5")
    classifier_of(backbone, "convnet_small").save_weights(tmp_path / "deep.weights.h5")

    for name in ("plain", "deep"):
        path = tmp_path / f"{name}.weights.h5"
        assert load_source_classifier(path, backbone, name="convnet_small") is None
