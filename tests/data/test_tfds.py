"""Data sets of tensorflow-datasets, made here: nothing is fetched."""

import io
import socket

import numpy as np
import pytest
import tensorflow_datasets as tfds
from images import decoded
from PIL import Image

from keras_transfer.data.tfds import read_tfds
from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.inputs.image import Image as ImageInput


def encoded(value, kind):
    """A 4 x 2 image of one value; "turned" is one of 2 x 4 that EXIF turns upright."""
    image = Image.new("RGB", (4, 2) if kind == "turned" else (2, 4), (value,) * 3)
    exif = Image.Exif()
    if kind == "turned":
        exif[0x112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if kind == "png" else "JPEG", exif=exif, quality=100)
    return buffer.getvalue()


class _Tiny(tfds.core.GeneratorBasedBuilder):
    """Splits of ``SIZES`` images, JPEG, PNG and turned JPEG by turns, labels 0, 1, 0, 1, ..."""

    VERSION = tfds.core.Version("1.2.0")
    SIZES = {"train": 6, "test": 4}
    FEATURES = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["a", "b"])}
    SUPERVISED = ("image", "label")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(self.FEATURES),
            supervised_keys=self.SUPERVISED,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(n) for name, n in self.SIZES.items()}

    def _generate_examples(self, n):
        for i in range(n):
            yield i, self.example(i)

    def example(self, i):
        content = encoded(10 * i, ("jpeg", "png", "turned")[i % 3])
        return {"image": io.BytesIO(content), "label": i % 2}


class KtTiny(_Tiny):
    pass


class KtTrainOnly(_Tiny):
    SIZES = {"train": 6}


class KtAllSplits(_Tiny):
    SIZES = {"test": 2, "train": 4, "validation": 3, "unsupervised": 5}


class KtOddSplits(_Tiny):
    SIZES = {"left": 3, "right": 3}


class KtConfigs(_Tiny):
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="light"), tfds.core.BuilderConfig(name="dark")]

    def example(self, i):
        value = i + (200 if self.builder_config.name == "light" else 0)
        return {"image": np.full((2, 2, 3), value, "uint8"), "label": i % 2}


class KtGrey(_Tiny):
    """As mnist is: arrays of one channel, labels without names."""

    FEATURES = {
        "image": tfds.features.Image(shape=(3, 3, 1)),
        "label": tfds.features.ClassLabel(num_classes=2),
    }

    def example(self, i):
        return {"image": np.full((3, 3, 1), i, "uint8"), "label": i % 2}


class KtUnsupervised(_Tiny):
    """No supervised_keys, other names, other features: the only two of their sort are meant."""

    FEATURES = {
        "photo": tfds.features.Image(),
        "species": tfds.features.ClassLabel(names=["a", "b"]),
        "name": tfds.features.Text(),
    }
    SUPERVISED = None

    def example(self, i):
        one = super().example(i)
        return {"photo": one["image"], "species": one["label"], "name": str(i)}


class KtTwoImages(_Tiny):
    FEATURES = {
        "left": tfds.features.Image(),
        "right": tfds.features.Image(),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }
    SUPERVISED = None

    def example(self, i):
        content = encoded(i, "png")
        return {"left": io.BytesIO(content), "right": io.BytesIO(content), "label": i % 2}


class KtDeep(_Tiny):
    FEATURES = {
        "image": tfds.features.Image(shape=(2, 2, 1), dtype=np.uint16, encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }

    def example(self, i):
        return {"image": np.full((2, 2, 1), i, "uint16"), "label": i % 2}


class KtHalfLabelled(_Tiny):
    def example(self, i):
        return {**super().example(i), "label": -1 if i == 3 else i % 2}


class KtBroken(_Tiny):
    def _split_generators(self, dl_manager):
        raise ConnectionError("no route to host")


def images(samples):
    return decoded(samples.store, samples.rows)


# --- what is read -----------------------------------------------------------------------------


def test_images_labels_and_parts(tmp_path):
    samples = read_tfds("kt_tiny", tmp_path)

    assert samples.classes == ("a", "b")
    assert samples.keys.tolist() == [f"train/{i:05d}" for i in range(6)] + [
        f"test/{i:05d}" for i in range(4)
    ]
    assert samples.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert samples.splits.tolist() == ["train"] * 6 + ["test"] * 4
    for i, image in enumerate(images(samples)):
        assert image.shape == (4, 2, 3)  # those that EXIF turns, too
        assert np.abs(image.astype(int) - 10 * (i % 6)).max() <= 2


def test_what_is_read_is_what_tensorflow_datasets_reads(tmp_path):
    """For the images that no EXIF turns; tensorflow-datasets ignores it."""
    samples = read_tfds("kt_tiny", tmp_path)
    theirs = tfds.load("kt_tiny", split="train", data_dir=tmp_path, as_supervised=True)
    for i, (image, label) in enumerate(theirs):
        assert label == samples.labels[i]
        if i % 3 < 2:
            assert images(samples.split("train"))[i].tolist() == image.numpy().tolist()


def test_a_prepared_data_set_is_read_without_network(tmp_path, monkeypatch):
    read_tfds("kt_tiny", tmp_path)
    monkeypatch.setattr(socket, "socket", None)

    assert len(read_tfds("kt_tiny", tmp_path)) == 10


def test_a_lone_train_split_is_undecided(tmp_path):
    samples = read_tfds("kt_train_only", tmp_path)

    assert set(samples.splits) == {""}
    assert samples.keys[0] == "train/00000"


def test_other_splits_are_left_out_and_named(tmp_path, caplog):
    samples = read_tfds("kt_all_splits", tmp_path)

    assert {split: len(samples.split(split)) for split in set(samples.splits)} == {
        "train": 4,
        "val": 3,
        "test": 2,
    }
    assert "Leaving out the splits unsupervised of kt_all_splits" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kt_configs", 200),
        ("kt_configs[light]", 200),
        ("kt_configs[dark]", 0),
        ("kt_configs[dark]:1.2.0", 0),
        ("KtConfigs:1.2.0", 200),
    ],
)
def test_configurations_and_versions(tmp_path, name, value):
    assert images(read_tfds(name, tmp_path))[0][0, 0, 0] == value


def test_grey_arrays_become_rgb(tmp_path):
    samples = read_tfds("kt_grey", tmp_path)

    assert samples.classes == ("0", "1")
    assert images(samples)[5].tolist() == np.full((3, 3, 3), 5).tolist()


def test_features_of_other_names_are_found(tmp_path):
    samples = read_tfds("kt_unsupervised", tmp_path)

    assert samples.labels.tolist()[:4] == [0, 1, 0, 1]
    assert images(samples)[1].shape == (4, 2, 3)


def test_images_without_label_are_left_out(tmp_path, caplog):
    samples = read_tfds("kt_half_labelled", tmp_path)

    assert "train/00003" not in samples.keys
    assert len(samples) == 8
    assert "Leaving out 2 images without a label" in caplog.text


def test_images_are_checked_and_stamped(tmp_path):
    samples = read_tfds("kt_tiny", tmp_path)
    checked = [samples.store.check(row, ImageInput().judge) for row in samples.rows]

    assert {one.reason for one in checked} == {""}
    assert checked[0].digest == checked[6].digest  # train/00000 is test/00000
    assert len({samples.store.stamp(row) for row in samples.rows}) == 10


# --- what is not ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("cats_vs_dog", UnknownName, "Did you mean 'cats_vs_dogs'?"),
        ("kt_configs[ligth]", UnknownName, "configuration of kt_configs is called 'ligth'. Did"),
        ("kt_tiny:9.9.9", BadConfiguration, "cannot be loaded at version 9.9.9, only: 1.2.0"),
        ("kt_tiny[", BadConfiguration, "tfds:kt_tiny[ should be tfds:NAME"),
        ("", BadConfiguration, "should be tfds:NAME"),
        (
            "kt_odd_splits",
            BadData,
            "validation, dev, test, testing; found left",
        ),
        ("kt_two_images", BadData, "found left: Image, right: Image, label: ClassLabel"),
        ("kt_deep", BadData, "should hold uint8 images in tfrecord files; found uint16"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, error, message):
    with pytest.raises(error) as raised:
        read_tfds(name, tmp_path)

    assert message in str(raised.value)


def test_a_failed_download_says_why_where_and_what_else_to_do(tmp_path, caplog, capsys):
    with pytest.raises(BadData) as raised:
        read_tfds("kt_broken", tmp_path)

    assert "ConnectionError: no route to host" in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert "--data-dir" in str(raised.value)
    assert "Fetching kt_broken/1.2.0 (of unknown size)" in caplog.text
    assert capsys.readouterr().out == ""  # standard output is for JSON


def test_without_network_the_answer_comes_at_once(tmp_path, monkeypatch, caplog):
    """tensorflow-datasets tries ten times, for more than three minutes."""

    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(BadData, match="Network is unreachable"):
        read_tfds("cats_vs_dogs", tmp_path)

    assert "Fetching cats_vs_dogs/4.0.1 (787 MiB)" in caplog.text


@pytest.mark.parametrize(
    ("name", "classes"),
    [("cats_vs_dogs", 2), ("cifar10", 10), ("tf_flowers", 5), ("oxford_flowers102", 102)],
)
def test_the_data_sets_of_the_recipes_hold_what_is_read(tmp_path, name, classes):
    from keras_transfer.data.tfds import _feature, _image

    info = tfds.builder(name, data_dir=tmp_path).info

    assert _image(info) == "image"
    assert _feature(info, tfds.features.ClassLabel, 1) == "label"
    assert info.features["label"].num_classes == classes
