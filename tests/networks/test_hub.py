"""Networks of KerasHub: unrolled they answer as KerasHub's own, block by block."""

import json

import h5py
import keras
import numpy as np
import pytest
from hub_networks import TINY, row_of

from keras_transfer.errors import BadConfiguration, BadWeights
from keras_transfer.networks import hub_presets
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.cutting import cut_network
from keras_transfer.networks.freezing import freeze, parameter_counts
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.hub import FAMILIES, HubBackbone, complete, constructor
from keras_transfer.networks.hub_backbones import HUB_BACKBONES
from keras_transfer.networks.keras_files import load_keras
from keras_transfer.networks.network import build_network
from keras_transfer.networks.token_pooling import pooling_of
from keras_transfer.networks.weights import load_backbone_weights

pytest.importorskip("keras_hub")

# Numbers of parameters that the presets of KerasHub state, with 1,000 classes and without
# statistics of batch normalization where they say so.
STATED = {
    "dinov2_small": 22_582_656,
    "deit_small": 21_666_432,
    "swin_tiny": 27_519_354,
    "hgnetv2_b4": 13_599_072,
    "efficientnet_lite0": 4_652_008 - 1_281_000 + 42_016,
    "resnet18": 11_186_112,
    "resnet50_timm": 23_561_152,
    "resnet18_vd": 11_722_824 - 513_000,
    "resnet50_vd": 25_629_512 - 2_049_000,
    "vit_b16": 85_798_656,
    "mobilenet_v5": 294_284_096,
    "cspdarknet53": 27_642_184 - 1_025_000 + 35_328,
}
LARGE = {"mobilenet_v5", "swin_tiny", "hgnetv2_b4", "cspdarknet53"}


@pytest.fixture(params=TINY)
def family(request):
    return request.param


@pytest.fixture
def tiny(family, monkeypatch):
    """Name of a backbone: the tiny network of a family."""
    monkeypatch.setitem(BACKBONES, "tiny", row_of(family))
    return "tiny"


def images(size, n=2):
    return np.random.default_rng(0).normal(size=(n, size, size, 3)).astype("float32")


def hub_network(family, size, positions=None):
    """KerasHub's own network, with weights that are all different.

    DINOv2 resizes a position embedding for images of so many pixels; by default of the same.
    """
    row = FAMILIES[family]
    config = complete(family, TINY[family][0])
    if row.position_shape:
        config[row.position_shape] = (positions or size, positions or size)
    network = constructor(row)(**config, **{row.image_shape: (size, size, 3)})
    rng = np.random.default_rng(1)
    for weight in network.weights:
        if "float" in str(weight.dtype):
            shift = 1 if "variance" in weight.path or "gamma" in weight.path else 0
            weight.assign(rng.uniform(0.01, 0.2, weight.shape) + shift)
    return network


def fill(backbone, network):
    for weight, given in zip(backbone.weights, network.weights, strict=True):
        weight.assign(given)


def last(outputs):
    return np.asarray([*outputs.values()][-1] if isinstance(outputs, dict) else outputs)


def test_the_unrolled_network_answers_as_that_of_kerashub(family):
    config, size, prefix = TINY[family]
    network = hub_network(family, size)
    backbone = HubBackbone(family, config, size, prefix_tokens=prefix)
    fill(backbone, network)
    inputs = (
        {name: images(size) for name in network.input}
        if isinstance(network.input, dict)
        else images(size)
    )

    expected, found = last(network(inputs, training=False)), np.asarray(backbone(images(size)))

    if family == "siglip":  # KerasHub gives the pooled vector alone; here it comes first
        found = found[:, 0]
    assert np.ptp(expected) > 1e-3
    assert found.reshape(expected.shape) == pytest.approx(expected, abs=1e-5)


def test_every_block_can_be_unfrozen_and_is_a_place_to_cut(tiny):
    row = BACKBONES[tiny]
    backbone = build_backbone(tiny, image_size=row.size)
    head = build_head(3, pooling=None)
    pool = pooling_of("avg", row.prefix_tokens)
    preprocessing = row.preprocessing
    model = build_network(backbone, {"label": head}, preprocessing=preprocessing, pool=pool).model
    pixels = np.random.default_rng(0).uniform(0, 255, (2, row.size, row.size, 3)).astype("float32")
    expected = np.asarray(model({"pixels": pixels}, training=False)["label"])
    names, trained = list(blocks(backbone)), [0]
    assert len(names) >= 3
    for name in reversed(names[1:]):
        freeze(backbone, name)
        trained.append(parameter_counts(backbone)[0])
        cut = cut_network(model)
        assert not cut.frozen.trainable_weights
        assert len(cut.trainable.trainable_weights) == len(model.trainable_weights)
        halves = cut.trainable(cut.frozen(pixels, training=False), training=False)["label"]
        assert np.asarray(halves) == pytest.approx(expected, abs=1e-5), name
        # Nothing draws random numbers or counts batches: training answers as predict does.
        assert np.asarray(model({"pixels": pixels}, training=True)["label"]) == pytest.approx(
            expected, abs=1e-5
        )
    assert trained == sorted(set(trained))


def test_batch_normalization_inside_of_blocks_stays_frozen():
    config, size, _ = TINY["hgnetv2"]
    backbone = HubBackbone("hgnetv2", config, size)
    freeze(backbone, "all")
    normalizations = [
        layer
        for layer in backbone._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(normalizations) > 5
    assert not any(layer.trainable for layer in normalizations)
    freeze(backbone, "all", "train")
    assert all(layer.trainable for layer in normalizations)


def test_it_is_read_back_from_a_file(tiny, tmp_path):
    row = BACKBONES[tiny]
    backbone = build_backbone(tiny)
    model = keras.Model(backbone.input, backbone(backbone.input))
    model.save(tmp_path / "best.keras")

    read = load_keras(tmp_path / "best.keras")

    assert np.asarray(read(images(row.size))) == pytest.approx(
        np.asarray(model(images(row.size))), abs=1e-6
    )
    assert list(blocks(read.layers[-1])) == list(blocks(backbone))
    assert read.layers[-1].prefix_tokens == row.prefix_tokens


def preset(family, folder, size=None):
    """Save KerasHub's own network as a preset, as its users do."""
    import keras_hub

    network = hub_network(family, size or TINY[family][1])
    if FAMILIES[family].part:  # the preset is of a vision and a text encoder
        words = {"vocabulary_size": 10, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1}
        words |= {"num_heads": 2, "intermediate_dim": 32, "max_sequence_length": 4}
        name = {"siglip": "SigLIP", "clip": "CLIP"}[family]
        if family == "siglip":
            text = keras_hub.src.models.siglip.siglip_text_encoder.SigLIPTextEncoder(
                **words, projection_dim=16
            )
        else:
            text = keras_hub.src.models.clip.clip_text_encoder.CLIPTextEncoder(**words)
        more = {} if family == "siglip" else {"projection_dim": 16}
        whole = getattr(keras_hub.models, f"{name}Backbone")(
            vision_encoder=network, text_encoder=text, **more
        )
        whole.save_to_preset(str(folder))
    else:
        network.save_to_preset(str(folder))
    return network


def test_a_preset_is_loaded_from_its_folder(tiny, family, tmp_path):
    network, size = preset(family, tmp_path / "preset"), TINY[family][1]
    weights = f"preset:{tmp_path / 'preset'}"

    backbone = build_backbone(tiny, config=hub_presets.preset_config(tiny, weights))
    load_backbone_weights(backbone, weights, name=tiny)

    for found, expected in zip(backbone.weights, network.weights, strict=True):
        # DINOv2 has two tables of positions, of which one is made of the other.
        if family != "dinov2" or "position" not in found.path:
            np.testing.assert_array_equal(found, expected)
    assert backbone.input_shape[1] == size


@pytest.mark.parametrize("family", ["vit", "deit", "dinov2", "clip", "siglip"])
def test_a_position_embedding_is_resized_to_other_images(tiny, family, tmp_path):
    network = preset(family, tmp_path / "preset")
    weights = f"preset:{tmp_path / 'preset'}"
    config = hub_presets.preset_config(tiny, weights)
    backbone = build_backbone(tiny, image_size=32, config=config)

    load_backbone_weights(backbone, weights, name=tiny)

    changed = [
        new.path
        for new, old in zip(backbone.weights, network.weights, strict=True)
        if tuple(new.shape) != tuple(old.shape)
    ]
    assert changed
    assert all("position" in path for path in changed)


@pytest.mark.parametrize("size", [16, 32])
def test_dinov2_has_the_positions_that_kerashub_gives_it(monkeypatch, tmp_path, size):
    """Trained at 48 pixels; KerasHub resizes its positions when it loads them, we never again."""
    import keras_hub

    monkeypatch.setitem(BACKBONES, "tiny", row_of("dinov2"))
    hub_network("dinov2", 48).save_to_preset(str(tmp_path / "preset"))
    weights = f"preset:{tmp_path / 'preset'}"
    theirs = keras_hub.models.Backbone.from_preset(
        str(tmp_path / "preset"), image_shape=(size, size, 3)
    )
    config = hub_presets.preset_config("tiny", weights)
    backbone = build_backbone("tiny", image_size=size, config=config)
    load_backbone_weights(backbone, weights, name="tiny")
    expected = np.asarray(theirs({"images": images(size)}, training=False))
    assert np.asarray(backbone(images(size))) == pytest.approx(expected, abs=1e-5)

    saved = [np.asarray(weight) for weight in backbone.weights]
    model = keras.Model(backbone.input, backbone(backbone.input))
    model.save(tmp_path / "best.keras")
    model.load_weights(tmp_path / "best.keras")

    for before, after in zip(saved, backbone.weights, strict=True):
        np.testing.assert_array_equal(after, before)


def test_resizing_a_position_embedding():
    """Constant embeddings stay, tokens that are no patches stay, and the same size changes
    nothing."""
    rng = np.random.default_rng(0)
    array = rng.normal(size=(1, 1 + 9, 4)).astype("float32")
    same = hub_presets.resized_positions(array, (1, 10, 4), 1)
    np.testing.assert_allclose(same, array, atol=1e-6)
    larger = hub_presets.resized_positions(array, (1, 1 + 36, 4), 1)
    np.testing.assert_array_equal(larger[:, 0], array[:, 0])
    constant = np.ones((9, 4), "float32")
    assert hub_presets.resized_positions(constant, (36, 4), 1) == pytest.approx(1, abs=1e-5)


def hugging_face_arrays(width, depth, patches):
    """Random weights of a ViT, by the names that transformers gives them."""
    rng = np.random.default_rng(2)
    start = "vit.embeddings"
    shapes = {
        f"{start}.cls_token": (1, 1, width),
        f"{start}.position_embeddings": (1, patches + 1, width),
        f"{start}.patch_embeddings.projection.weight": (width, 3, 8, 8),
        f"{start}.patch_embeddings.projection.bias": (width,),
        **affine("vit.layernorm", width),
    }
    for block in range(depth):
        start = f"vit.encoder.layer.{block}"
        for name in ("query", "key", "value"):
            shapes |= affine(f"{start}.attention.attention.{name}", width, width)
        shapes |= affine(f"{start}.attention.output.dense", width, width)
        shapes |= affine(f"{start}.intermediate.dense", 32, width)
        shapes |= affine(f"{start}.output.dense", width, 32)
        for name in ("layernorm_before", "layernorm_after"):
            shapes |= affine(f"{start}.{name}", width)
    return {name: rng.normal(0, 0.1, shape).astype("float32") for name, shape in shapes.items()}


def affine(name, *shape):
    """Shapes of a weight and of its bias."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def hugging_face_vit(folder, width=16, depth=3, patches=4):
    """A folder as transformers writes it, and its arrays by name."""
    from safetensors.numpy import save_file

    arrays = hugging_face_arrays(width, depth, patches)
    folder.mkdir()
    save_file(arrays, str(folder / "model.safetensors"))
    config = {
        "model_type": "vit",
        "image_size": 16,
        "patch_size": 8,
        "num_hidden_layers": depth,
        "num_attention_heads": 2,
        "hidden_size": width,
        "intermediate_size": 32,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "qkv_bias": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return arrays


@pytest.fixture
def vit(monkeypatch):
    monkeypatch.setitem(BACKBONES, "tiny", row_of("vit"))
    return "tiny"


def test_a_folder_of_hugging_face_is_loaded(vit, tmp_path):
    arrays = hugging_face_vit(tmp_path / "vit")
    weights = f"preset:{tmp_path / 'vit'}"

    backbone = build_backbone(vit, config=hub_presets.preset_config(vit, weights))
    load_backbone_weights(backbone, weights, name=vit)

    norm = backbone.get_layer("norm")
    np.testing.assert_array_equal(norm.gamma, arrays["vit.layernorm.weight"])
    mlp = backbone.get_layer("encoder_block_2").mlp.dense_1
    np.testing.assert_array_equal(
        mlp.kernel, arrays["vit.encoder.layer.2.intermediate.dense.weight"].T
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, ""),
        ({"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}, "scale"),
        ({"image_mean": [0.4] * 3, "image_std": [0.5] * 3}, "offset"),
    ],
)
def test_pixels_on_another_scale_are_refused(vit, tmp_path, document, said):
    """vit_b16 takes -1..1, which is a mean of 0.5 and a deviation of 0.5."""
    hugging_face_vit(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(document))
    backbone = build_backbone(vit)
    if not said:
        load_backbone_weights(backbone, f"preset:{tmp_path / 'vit'}", name=vit)
        return
    with pytest.raises(BadWeights, match=f"trained on pixels with {said}"):
        load_backbone_weights(backbone, f"preset:{tmp_path / 'vit'}", name=vit)


def test_presets_that_do_not_fit_are_refused(vit, tmp_path):
    backbone = build_backbone(vit)

    def load(weights, name=vit):
        load_backbone_weights(backbone, weights, name=name)

    with pytest.raises(BadWeights, match=r"there is no config\.json in"):
        load(f"preset:{tmp_path}")
    with pytest.raises(BadWeights, match="vgg16 is no network of KerasHub"):
        load(f"preset:{tmp_path}", "vgg16")
    hugging_face_vit(tmp_path / "deeper", depth=4)
    with pytest.raises(BadWeights, match="num_layers = 4, and the backbone 3"):
        load(f"preset:{tmp_path / 'deeper'}")
    preset("deit", tmp_path / "deit")
    with pytest.raises(BadWeights, match="of DeiTBackbone, not of ViTBackbone"):
        load(f"preset:{tmp_path / 'deit'}")
    hugging_face_vit(tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no such thing")
    with pytest.raises(BadWeights, match="cannot be read as a preset"):
        load(f"preset:{tmp_path / 'broken'}")


def test_presets_that_reach_out_of_their_folder_are_refused(vit, tmp_path):
    preset("vit", tmp_path / "preset")
    weights = f"preset:{tmp_path / 'preset'}"
    config = json.loads((tmp_path / "preset" / "config.json").read_text())
    config["config"]["dtype"] = {"module": "os", "class_name": "system", "config": {}}
    (tmp_path / "preset" / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadWeights, match=r"config\.json names classes of os"):
        load_backbone_weights(build_backbone(vit), weights, name=vit)
    preset("vit", tmp_path / "linked")
    with h5py.File(tmp_path / "linked" / "model.weights.h5", "a") as file:
        file["more"] = h5py.ExternalLink("secret.h5", "/numbers")
    with pytest.raises(BadWeights, match=r"model\.weights\.h5"):
        load_backbone_weights(build_backbone(vit), f"preset:{tmp_path / 'linked'}", name=vit)


def test_without_a_network_it_is_said_where_to_get_the_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    place = hub_presets.place_of("dinov3_small")
    assert not place.present
    assert place.path == tmp_path / "models/keras/dinov3/keras/dinov3_vit_small_lvd1689m/1"
    error = hub_presets._unreadable("dinov3_small", place.url, "imagenet", OSError("offline"))
    assert "kagglehub.model_download('keras/dinov3/keras/dinov3_vit_small_lvd1689m/1')" in error
    assert "license has to be accepted" in error


def test_sizes_between_those_of_patches_are_refused():
    with pytest.raises(
        BadConfiguration, match=r"multiple of 14 pixels, not 225\. Take .* 224 or 238"
    ):
        build_backbone("dinov2_small", image_size=225)


def test_pooling_of_tokens():
    """Two examples of one class token and two patches."""
    tokens = np.array([[[9.0], [1.0], [5.0]], [[7.0], [2.0], [4.0]]], "float32")
    given = keras.Input((3, 1))
    expected = {"avg": [[3], [3]], "max": [[5], [4]], "token": [[9], [7]]}
    expected |= {"flatten": [[1, 5], [2, 4]], "avgmax": [[3, 5], [3, 4]]}
    for name, values in expected.items():
        model = keras.Model(given, pooling_of(name, 1)(given))
        np.testing.assert_allclose(model(tokens), values)


ROWS = [
    pytest.param(name, marks=[pytest.mark.slow] if name not in {"resnet18"} else [])
    for name in HUB_BACKBONES
]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_the_parameters_that_the_table_and_its_preset_say(name):
    row = BACKBONES[name]
    backbone = build_backbone(name)
    assert backbone.count_params() == row.parameters
    assert len(backbone.output_shape) == (4 if row.prefix_tokens is None else 3)
    if row.prefix_tokens is not None:
        patches = (row.size // row.step) ** 2
        assert backbone.output_shape[1] == row.prefix_tokens + patches
    stated = STATED.get(name)
    if name == "dinov2_small":  # at 518 pixels, and with both tables of positions
        stated -= 2 * (37**2 - 16**2) * 384
    assert stated is None or backbone.count_params() == stated
    keras.backend.clear_session()
