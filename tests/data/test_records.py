"""Images in TFRecord files, read in any order."""

import io

import numpy as np
import pytest
import tensorflow as tf
from images import decoded, image
from PIL import Image

from keras_transfer.data import records
from keras_transfer.errors import BadData
from keras_transfer.inputs.image import Image as ImageInput


def example(values):
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, bytes)
        else tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        for name, value in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def png(value):
    return tf.io.encode_png(np.full((2, 3, 1), value, "uint8")).numpy()


def write(path, contents, first_label=0):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for label, content in enumerate(contents, first_label):
            writer.write(example({"image": content, "class": label}))
    return str(path)


@pytest.fixture
def two_files(tmp_path):
    """Five images of one grey value each, 10, 20, ... 50, in files of 2, 0 and 3."""
    return [
        write(tmp_path / "a", [png(10), png(20)]),
        write(tmp_path / "b", []),
        write(tmp_path / "c", [png(30), png(40), png(50)], first_label=2),
    ]


def test_any_record_is_read_in_a_graph(two_files):
    store, labels = records.index(two_files, "image", "class")
    images = decoded(store, [4, 0, 2, 3, 1, 4])

    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert [image[0, 0].tolist() for image in images] == [
        [value] * 3 for value in (50, 10, 30, 40, 20, 50)
    ]


def test_a_large_jpeg_is_read_no_larger_than_its_square_needs(tmp_path):
    jpeg = tf.io.encode_jpeg(np.full((400, 640, 3), 9, "uint8")).numpy()
    store, _ = records.index([write(tmp_path / "a", [jpeg])], "image", "class")
    row = tf.constant(0, tf.int64)

    assert image(store, row).shape == (400, 640, 3)
    assert image(store, row, 40, "stretch").shape == (100, 160, 3)


def test_offsets_are_those_of_the_format(two_files):
    """8 bytes of length and 4 of checksum lie before the data, 4 of checksum behind."""
    store, _ = records.index(two_files, "image", "class")
    first = example({"image": png(10), "class": 0})
    second = example({"image": png(20), "class": 1})

    assert store.offsets[:3].tolist() == [12, 12 + len(first) + 16, 12]
    assert store.lengths[:2].tolist() == [len(first), len(second)]


def test_a_record_that_ends_in_nul_is_read_whole(tmp_path):
    """NumPy drops NULs at the end of bytes; a black BMP has them, if it comes last."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "BMP")
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        writer.write(example({"class": 1}) + example({"image": buffer.getvalue()}))
    store, _ = records.index([str(tmp_path / "a")], "image", "class")

    assert decoded(store, [0])[0].tolist() == np.zeros((2, 2, 3)).tolist()


def test_checks_tell_duplicates_and_broken_images(tmp_path):
    contents = [png(1), png(2), png(1), b"", png(3)[:-20]]
    store, _ = records.index([write(tmp_path / "a", contents)], "image", "class")
    checked = [store.check(row, ImageInput().judge) for row in range(5)]

    assert checked[0] == checked[2] != checked[1]
    assert [one.reason != "" for one in checked] == [False, False, False, True, True]


def test_stamps_change_with_the_file(two_files):
    store, _ = records.index(two_files, "image", "class")
    before = [store.stamp(row) for row in range(5)]

    assert len(set(before)) == 5
    tf.io.gfile.copy(two_files[0], two_files[2], overwrite=True)
    assert store.stamp(2) != before[2]
    assert store.stamp(0) == before[0]


def test_a_truncated_file_is_named(two_files):
    with open(two_files[2], "r+b") as file:
        file.truncate(100)
    with pytest.raises(BadData, match=r"c is missing or broken \(truncated record"):
        records.index(two_files, "image", "class")


def test_a_missing_file_is_named(two_files):
    with pytest.raises(BadData, match="nowhere is missing or broken"):
        records.index([*two_files, "nowhere"], "image", "class")
