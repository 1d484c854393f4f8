"""Features of a recipe's data: their values, what they are aligned with, the cache, files."""

import csv
import sys

import keras
import numpy as np
import pytest
from hub_networks import row_of
from PIL import Image as Pillow
from texts_runs import write_table

from keras_transfer import (
    BadConfiguration,
    BadData,
    BadWeights,
    CheckFailed,
    Classification,
    Classify,
    Features,
    FineTune,
    Head,
    Image,
    Split,
    Stage,
    Supervised,
    Text,
    UnknownName,
    seeds,
)
from keras_transfer.config.groups import ALL_BACKBONES, Backbone
from keras_transfer.features.store import Table
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.blocks import layers_named
from keras_transfer.networks.cutting import fingerprint, output_of
from keras_transfer.objectives.base import Labels
from keras_transfer.training.distributed import session
from keras_transfer.workflows.building import add_heads, build
from keras_transfer.workflows.extractors import all_rows
from keras_transfer.workflows.feature_cuts import feature_cut

# Float32 only: otherwise the speed of the machine decides on the precision.
PLAIN = {"batch_size": 5, "engine": "keras", "engine_error": 0, "split": Split(val=4, test=4)}
CLOSE = {"rtol": 2e-3, "atol": 2e-3}
"""Features on disk may be float16."""


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    """One cache for all: what a test has computed, another one finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """24 images of one colour each, 16 x 16, and files of two networks."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    for number in range(24):
        home = folder / "images" / ("sea" if number % 3 else "air")
        home.mkdir(parents=True, exist_ok=True)
        colour = rng.integers(0, 120, 3)
        colour[2 if number % 3 else 0] += 130
        pixels = np.broadcast_to(colour, (16, 16, 3)).astype("uint8")
        Pillow.fromarray(pixels).save(home / f"{rng.integers(1 << 30)}.png")
    keras.utils.set_random_seed(0)
    build_backbone("convnet_small", image_size=16).save_weights(folder / "small.weights.h5")
    colour_network().save(folder / "colour.keras")
    return folder


def colour_network():
    """Its features are the pixels: three channels, each with weight 1 on itself."""
    pixels = keras.Input((16, 16, 3))
    network = keras.Model(pixels, keras.layers.Conv2D(3, 1, name="colour")(pixels))
    network.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    return network


def recipe(work, **more):
    settings = {"backbone": "convnet_small", "weights": str(work / "small.weights.h5")}
    settings |= {"data": str(work / "images"), "image_size": 16, **PLAIN}
    return Classify(**(settings | more))


def colour_recipe(work, **more):
    own = Backbone(str(work / "colour.keras"), preprocessing="unit")
    return Classify(data=str(work / "images"), backbone=own, image_size=16, **PLAIN, **more)


def colours(keys):
    """(n, 3) float in [0, 1]: of the files, read by Pillow."""
    return np.array([Pillow.open(key).convert("RGB").getpixel((0, 0)) for key in keys]) / 255


def network_of(work):
    network = build_backbone("convnet_small", image_size=16)
    network.load_weights(work / "small.weights.h5")
    return network


@pytest.mark.parametrize(
    ("layer", "pooling", "by_hand"),
    [
        (None, "avg", lambda maps: maps.mean((1, 2))),
        (None, "avgmax", lambda maps: np.concatenate([maps.mean((1, 2)), maps.max((1, 2))], 1)),
        ("block2", "max", lambda maps: maps.max((1, 2))),
        ("block2_pool", None, lambda maps: maps),
        ("block3_conv1", "flatten", lambda maps: maps.reshape(len(maps), -1)),
    ],
)
def test_a_layer_is_pooled_as_keras_would(work, layer, pooling, by_hand):
    network, settings = network_of(work), Backbone("convnet_small")
    part = network
    if layer is not None:
        last = {"block2": "block2_pool"}.get(layer, layer)
        part = keras.Model(network.input, network.get_layer(last).output)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("float32")

    found = feature_cut(network, settings, pooling, layer).frozen(pixels)

    expected = by_hand(np.asarray(part(pixels / 127.5 - 1)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["avg", "max", "avgmax", "flatten"])
def test_the_frozen_part_is_that_of_a_run(work, pooling):
    """Stored features are found by its fingerprint and its last layer."""
    network, settings = network_of(work), Backbone("convnet_small")
    labels = Labels(np.zeros(1, "int32"), ("air", "sea"))
    full = add_heads(
        network,
        settings,
        Head(pooling=pooling, units=(8,), dropout=0.5),
        {"label": (Classification(), labels)},
        Supervised(),
        steps=1,
    )
    for unfreeze, other in ((None, (pooling, None)), ("block3", (None, "block2"))):
        full.freeze(unfreeze)
        of_run, of_features = full.cut(), feature_cut(network_of(work), settings, *other)
        assert of_run.boundary == of_features.boundary
        assert fingerprint(of_run.frozen) == fingerprint(of_features.frozen)


def test_rows_belong_to_their_keys_labels_and_splits(work):
    """Read from the images themselves, whose colour is the feature."""
    found = colour_recipe(work).features()

    np.testing.assert_allclose(found.values, colours(found.keys), **CLOSE)
    named = [found.classes[label] for label in found.labels]
    assert named == [key.split("/")[-2] for key in found.keys]
    assert sorted(found.splits) == 4 * ["test"] + 16 * ["train"] + 4 * ["val"]
    assert found.metadata["boundary"] == "pool"

    test = found.split("test")
    some = colour_recipe(work).features(splits="test")
    assert some.keys.tolist() == test.keys.tolist()
    assert some.report["cached"] == 4
    np.testing.assert_array_equal(some.values, test.values)
    np.testing.assert_array_equal(some.labels, test.labels)


@pytest.fixture(scope="module")
def trained(work):
    """Features, and then a run that trains a head on them and the last block."""
    first = recipe(work).features()
    # The first learns next to nothing, so the second is kept.
    head = Stage("head", epochs=1, learning_rate=1e-6)
    stages = (head, Stage("tune", epochs=1, unfreeze="block3", learning_rate=1e-3))
    return first, recipe(work, stages=stages).run(name="tuned", out=work / "tuned")


def test_what_is_computed_is_not_computed_again(work, trained):
    """By a second call, or by a run; nor is what a run has computed."""
    first, run = trained
    again = recipe(work).features()
    maps = recipe(work).features(layer="block2", pooling="none")

    assert first.report["computed"] == 24
    assert (again.report["computed"], again.report["cached"]) == (0, 24)
    np.testing.assert_array_equal(first.values, again.values)
    assert run.metadata["features"]["head"]["computed"] == 0
    assert run.metadata["features"]["tune"]["computed"] > 0
    assert maps.report["computed"] == 0
    assert maps.values.shape == (24, 4, 4, 64)
    with (run.folder / "split.csv").open(newline="") as file:
        rows = [(row["path"], row["split"]) for row in csv.DictReader(file)]
    assert rows == list(zip(first.keys, first.splits, strict=True))


def test_features_of_a_trained_run(work, trained):
    """The tuned backbone, with values as Keras computes them."""
    first, run = trained
    found = recipe(work, weights=f"run:{run.folder}").features(splits=["val"])

    pixels = np.stack([np.asarray(Pillow.open(key)) for key in found.keys]).astype("float32")
    expected = np.asarray(run.network.backbone(pixels / 127.5 - 1)).mean((1, 2))
    np.testing.assert_allclose(found.values, expected, **CLOSE)
    assert abs(found.values - first.split("val").values).max() > 1e-2
    assert found.metadata["weights"] == f"run:{run.folder}"
    assert found.metadata["input"]["image_size"] == 16


def test_padding_of_texts_does_not_count(tmp_path):
    """Tokens and network are made here by the same steps, and averaged by NumPy."""
    table, given = write_table(tmp_path), Text(length=12, vocabulary_size=80)
    texts = FineTune(data=str(table), input=given, backbone="transformer_tiny")
    found = texts.features(layer="layer_0")

    with table.open(newline="") as file:
        rows = {f"reviews.csv:{line}": row for line, row in enumerate(csv.DictReader(file), 2)}
    learnt = given.fit([row["text"] for row in rows.values() if row["split"] == "train"])
    with session(seed=seeds.stream(0, "weights")):
        network = build(texts.backbone, given, (), "none", learnt)
    last = [layer.name for layer in network.layers if layer.name.startswith("layer_0")][-1]
    inputs = given.bind(learnt).prepare([rows[key]["text"] for key in found.keys])
    tokens = np.asarray(keras.Model(network.input, network.get_layer(last).output)(inputs))
    masks = np.asarray(inputs["padding_mask"])
    assert not masks.all()
    expected = [row[mask].mean(0) for row, mask in zip(tokens, masks, strict=True)]
    np.testing.assert_allclose(found.values, expected, **CLOSE)
    named = [found.classes[label] for label in found.labels]
    assert named == [rows[key]["label"] for key in found.keys]
    assert found.splits.tolist() == [rows[key]["split"] for key in found.keys]
    with pytest.raises(BadConfiguration, match="padding of texts"):
        texts.features(pooling="none")
    with pytest.raises(BadConfiguration, match="--weights run:DIR"):
        texts.features(labelled=False)


@pytest.mark.slow
def test_texts_by_the_network_and_vocabulary_of_a_run(text_run):
    run = text_run()
    table = run.folder.parent / "reviews.csv"
    given = Text(length=12, vocabulary_size=80)
    weights = f"run:{run.folder}"
    texts = FineTune(data=str(table), input=given, backbone="transformer_tiny", weights=weights)
    found = texts.features(pooling="token")

    with table.open(newline="") as file:
        rows = {f"reviews.csv:{line}": row for line, row in enumerate(csv.DictReader(file), 2)}
    inputs = run.loading.input.prepare([rows[key]["text"] for key in found.keys])
    expected = np.asarray(run.network.backbone(inputs))[:, 0]
    np.testing.assert_allclose(found.values, expected, **CLOSE)
    unlabelled = texts.features(pooling="token", labelled=False)
    assert unlabelled.report["computed"] == 0
    assert unlabelled.keys.tolist() == list(rows)


def test_images_without_labels(work):
    files = sorted(map(str, (work / "images/sea").glob("*.png")))
    loose = colour_recipe(work)
    loose.features()
    found = loose.features(str(work / "images/sea"), labelled=False)

    assert found.keys.tolist() == files
    assert found.metadata["data"] == str(work / "images/sea")
    pattern = loose.features(str(work / "images/s*/*.png"), labelled=False)
    assert pattern.keys.tolist() == files
    with pytest.raises(BadConfiguration, match="labels of 0 outputs"):
        _ = found.labels
    assert found.targets == {}
    assert found.report["computed"] == 0  # by content, not by label
    assert set(found.splits) == {""}
    np.testing.assert_allclose(found.values, colours(files), **CLOSE)
    pixels = np.stack([np.asarray(Pillow.open(file)) for file in files[:3]])
    in_memory = loose.features(pixels, labelled=False)
    np.testing.assert_allclose(in_memory.values, colours(files[:3]), **CLOSE)
    assert len(loose.changed(limit=5).features(files, labelled=False)) == 5


def test_labels_of_several_objectives(work, tmp_path):
    """A class that is not known is -1, in files too."""
    files = sorted((work / "images").glob("*/*.png"))
    with (tmp_path / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "kind", "price", "group", "split"])
        for number, path in enumerate(files):
            kind = "" if number == 5 else path.parent.name
            split = ("train", "train", "val", "test")[number % 4]
            table.writerow([path, kind, number / 2, f"shop{number % 12}", split])
    several = FineTune(
        **colour_recipe(work).settings()
        | {
            "data": str(tmp_path / "table.csv"),
            "objective": {"kind": "classification", "price": "regression"},
        }
    )
    found = several.features()

    assert list(found.targets) == ["kind", "price"]
    order = [[str(path) for path in files].index(key) for key in found.keys]
    np.testing.assert_array_equal(found.targets["price"].values[:, 0], np.array(order) / 2)
    assert found.targets["kind"].values[order.index(5)] == -1
    assert found.groups.tolist() == [f"shop{place % 12}" for place in order]
    for name in ("a.npz", "a.parquet"):
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        found.write(tmp_path / name)
        same(Features.read(tmp_path / name), found)


def same(one, other):
    assert one.values.dtype == other.values.dtype == np.float32
    np.testing.assert_array_equal(one.values, other.values)
    for name in ("keys", "splits", "groups"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert list(one.targets) == list(other.targets)
    for output, (values, names) in one.targets.items():
        np.testing.assert_array_equal(values, other.targets[output].values)
        assert values.dtype == other.targets[output].values.dtype
        assert names == other.targets[output].names
    assert one.metadata == other.metadata


def made_up(**more):
    texts = [np.array(words.split(","), object) for words in ("a b,ü", "train,test", ",g")]
    targets = {"label": Labels(np.array([1, 0], "int32"), ("no", "yes"))}
    return Features(np.arange(12, dtype="float32").reshape(2, 2, 3), *texts, targets, more)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_files_hold_all_of_it(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    file, features = tmp_path / f"features{suffix}", made_up(backbone="vgg16", layer=None)
    features.write(file)

    same(Features.read(file), features)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    with pytest.raises(BadConfiguration, match="already exists"):
        features.write(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BadData, match="cannot be read as features"):
        Features.read(file)


def test_files_as_other_programs_read_them(tmp_path):
    features = made_up()
    features.write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["classes"][arrays["labels"]].tolist() == ["yes", "no"]
        assert arrays["keys"].tolist() == ["a b", "ü"]
    parquet = pytest.importorskip("pyarrow.parquet")
    features.write(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet").to_pydict()
    assert table["label"] == ["yes", "no"]
    assert table["path"] == ["a b", "ü"]
    assert table["features"] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_files_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(UnknownName, match="parquet"):
        made_up().write(tmp_path / "a.parket")
    with pytest.raises(BadConfiguration, match="no folder"):
        made_up().write(tmp_path / "nowhere/a.npz")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    with pytest.raises(BadConfiguration, match=r"pip install 'keras_transfer\[parquet\]'"):
        made_up().write(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"layer": "blok2"}, UnknownName, "Did you mean 'block2'"),
        ({"layer": "all"}, UnknownName, "block or layer"),
        ({"pooling": "token"}, BadConfiguration, "has none"),
        ({"pooling": "mean"}, BadConfiguration, "pooling"),
        ({"splits": ["tests"]}, UnknownName, "Did you mean 'test'"),
        ({"splits": ["test"], "labelled": False}, BadConfiguration, "no splits"),
        ({"engine": "none"}, BadConfiguration, "engine = none"),
        ({"weights": "gone.h5"}, BadWeights, "gone.h5 does not exist"),
        ({"data": "nowhere"}, BadData, "nowhere does not exist"),
        ({"backbone": "vgg61"}, UnknownName, "vgg61"),
    ],
)
def test_what_makes_no_sense_is_refused(work, asked, error, message):
    with pytest.raises(error, match=message):
        recipe(work).features(**asked)


def test_layers_that_give_no_features():
    own = Backbone("own.keras", preprocessing="unit")
    pixels = keras.Input((None, None, 3))
    padded = keras.layers.ZeroPadding2D(name="padding")(pixels)
    network = keras.Model(pixels, keras.layers.Conv2D(2, 1)(padded), name="backbone")
    with pytest.raises(BadConfiguration, match="layer = padding: it has no weights before it"):
        feature_cut(network, own, "avg", "padding")
    with pytest.raises(BadConfiguration, match="not known"):
        feature_cut(network, own, None)
    network = keras.Sequential([keras.Input((16, 3)), keras.layers.Reshape((2, 2, 4, 3))])
    with pytest.raises(BadConfiguration, match="neither maps nor tokens nor vectors"):
        feature_cut(network, own)


def test_more_than_fits_into_memory_is_refused():
    petabyte = np.broadcast_to(np.float32(0), (1, 1 << 48))
    with pytest.raises(CheckFailed, match="GB of memory are free"):
        all_rows(Table([petabyte], np.zeros(1, int), np.zeros(1, int)))
    with pytest.raises(CheckFailed, match="KT_CACHE_GB"):
        all_rows(None)


@pytest.mark.parametrize(
    ("family", "prefix"),
    [("vit", 1), ("siglip", 0), pytest.param("swin", 0, marks=pytest.mark.slow)],
)
def test_tokens_of_a_block_of_a_transformer(family, prefix, monkeypatch):
    """Tokens that are no patches are not averaged; siglip has none before its last layer."""
    pytest.importorskip("keras_hub")
    for table in (BACKBONES, ALL_BACKBONES):
        monkeypatch.setitem(table, "tiny", row_of(family))
    tiny, layer = Backbone("tiny", weights="none"), "encoder_block_1"
    if family == "swin":
        layer = "stage_0_block_1"
    network = build(tiny, Image(image_size=16), (), "none", None)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype("float32")
    cut = feature_cut(network, tiny, "avg", layer)

    given = cut.before[0](pixels)
    last = layers_named(network, layer)[-1].name
    tokens = np.asarray(keras.Model(network.input, output_of(network, last))(given))
    np.testing.assert_allclose(cut.frozen(pixels), tokens[:, prefix:].mean(1), atol=1e-5)
    kept = feature_cut(network, tiny, None, layer)
    assert kept.frozen.output_shape == (None, *tokens.shape[1:])
    if prefix:
        first = feature_cut(network, tiny, "token", layer).frozen(pixels)
        np.testing.assert_allclose(first, tokens[:, 0], atol=1e-5)
    else:
        with pytest.raises(BadConfiguration, match="no class token"):
            feature_cut(network, tiny, "token", layer)
