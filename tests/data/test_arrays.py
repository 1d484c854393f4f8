"""Images in arrays."""

import io
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from images import decoded, loading
from sklearn.datasets import load_digits

from keras_transfer.data import memory
from keras_transfer.data.arrays import Arrays, read_arrays, read_parts, read_sklearn
from keras_transfer.data.npz import read_npz
from keras_transfer.errors import BadData, UnknownName


def grey(n=4):
    """Images of 2 x 3, all pixels of image i are i."""
    return np.broadcast_to(np.arange(n, dtype="uint8")[:, None, None], (n, 2, 3))


# --- pixels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 2, 3, 1)])
def test_grey_images_become_rgb(shape):
    store = Arrays(grey().reshape(shape))
    (image,) = decoded(store, [3])

    assert image.dtype == np.uint8
    assert image.tolist() == np.full((2, 3, 3), 3).tolist()
    assert store.read(tf.constant(3, tf.int64)).shape == (2, 3, 3)


def test_alpha_is_dropped_as_for_files():
    """tf.io.decode_png(channels=3) of the same RGBA image is the reference."""
    rgba = np.random.default_rng(0).integers(0, 256, (1, 5, 4, 4), "uint8")
    reference = tf.io.decode_png(tf.io.encode_png(rgba[0]), channels=3).numpy()

    assert decoded(Arrays(rgba), [0])[0].tolist() == reference.tolist()


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([0, 0.5, 1.0]), [0, 128, 255]),
        (np.array([0, 0.4, 254.6]), [0, 0, 255]),
        (np.array([0, 127.6, 200], "float32"), [0, 128, 200]),
        (np.array([0, 1, 255], "int64"), [0, 1, 255]),
        (np.array([0, 1, 1], "int32"), [0, 1, 1]),
    ],
)
def test_floats_and_whole_numbers_become_uint8(pixels, expected):
    assert decoded(Arrays(pixels.reshape(1, 1, 3)), [0])[0][0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 3)), r"found \(4, 3\)"),
        (np.zeros((4, 3, 8, 8)), "channels, which come last"),
        (np.zeros((4, 2, 2, 2)), r"found \(4, 2, 2, 2\)"),
        (np.zeros((0, 2, 2)), r"found \(0, 2, 2\)"),
        (np.full((2, 2, 2), np.nan), "found nan to nan"),
        (np.array([[[0, np.nan]]]), "found nan to nan"),
        (np.array([[[-1.0, 1.0]]]), "found -1.0 to 1.0"),
        (np.array([[[0, 256]]]), "found 0 to 256"),
        (np.array([[[0, 1.0001]]]), "found 0.0 to 1.0001"),
        (np.zeros((2, 2, 2), bool), "found bool"),
        (np.zeros((2, 2, 2), object), "found object"),
    ],
)
def test_what_is_no_image_is_refused(x, message):
    with pytest.raises(BadData, match=message):
        Arrays(x)


def test_the_array_is_not_copied_into_the_graph():
    """A graph over 30 MB of pixels is below 10 kB."""
    store = Arrays(np.zeros((10_000, 32, 32, 3), "uint8"))
    graph = tf.function(store.read, input_signature=[tf.TensorSpec([], tf.int64)])

    assert len(graph.get_concrete_function().graph.as_graph_def().SerializeToString()) < 10_000


def test_images_that_are_decoded_already_are_read_as_they_are():
    samples = read_arrays(np.zeros((2, 40, 50), "uint8"), [0, 1])

    row = tf.constant(0, tf.int64)

    assert samples.store.read(row).shape == (40, 50, 3)
    assert loading(4).example(samples, row)["pixels"].shape == (4, 4, 3)


def test_digests_are_equal_for_equal_pixels_only():
    store = Arrays(np.array([[[1, 2]], [[2, 1]], [[1, 2]]], "uint8"))
    digests = [store.check(row, None).digest for row in range(3)]

    assert digests[0] == digests[2] != digests[1]
    assert store.check(0, None).reason == ""
    assert store.stamp(0) is None


# --- labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "names", "classes", "labels"),
    [
        ([10, 2, 10, 2], None, ("2", "10"), [1, 0, 1, 0]),  # as numbers, not as strings
        ([0, 1, 0, 2], ["a", "b", "c"], ("a", "b", "c"), [0, 1, 0, 2]),
        ([0, 2, 0, 2], ["a", "b", "c"], ("a", "b", "c"), [0, 2, 0, 2]),  # b may be empty
        (["dog", "cat", "dog", "cat"], None, ("cat", "dog"), [1, 0, 1, 0]),
        (["dog", "cat", "dog", "cat"], ["dog", "cat"], ("dog", "cat"), [0, 1, 0, 1]),
        (np.array(["b", "a", "b", "a"], object), None, ("a", "b"), [1, 0, 1, 0]),
        ([b"b", b"a", b"b", b"a"], None, ("a", "b"), [1, 0, 1, 0]),
        ([[1], [0], [1], [0]], None, ("0", "1"), [1, 0, 1, 0]),  # keras.datasets.cifar10
        ([1.0, 0.0, 1.0, 0.0], None, ("0", "1"), [1, 0, 1, 0]),
    ],
)
def test_labels_of_every_sort(y, names, classes, labels):
    samples = read_arrays(grey(), y, names)

    assert samples.classes == classes
    assert samples.labels.tolist() == labels
    assert samples.keys.tolist() == ["0", "1", "2", "3"]
    assert set(samples.splits) == {""}


@pytest.mark.parametrize(
    ("y", "names", "message"),
    [
        ([0, 1, 0], None, r"found images \(4, 2, 3\) and labels \(3,\)"),
        (np.eye(4), None, r"labels \(4, 4\). For one-hot labels pass argmax"),
        ([1, 1, 1, 1], None, r"two classes or more; found 1: \[1\]"),
        ([0, 1, 0, 2], ["a", "b"], r"among the 2 classes that have names; found:\n  2"),
        ([0, 1, 0, -1], ["a", "b"], r"found:\n  -1"),
        (["a", "c", "b", "a"], ["a", "b"], r"found:\n  c"),
        ([0.5, 1, 0, 1], None, "whole numbers or names"),
        ([np.nan, 1, 0, 1], None, "whole numbers or names"),
        (np.array(["a", None, "b", "a"], object), None, "found None in row 1"),
        (np.array(["a", "b", np.nan, "a"], object), None, "found nan in row 2"),
    ],
)
def test_labels_that_do_not_fit(y, names, message):
    with pytest.raises(BadData, match=message):
        read_arrays(grey(), y, names)


def test_images_of_several_sizes_are_refused():
    with pytest.raises(BadData, match="all have one size"):
        read_arrays([np.zeros((2, 2)), np.zeros((3, 3))], [0, 1])


# --- splits ------------------------------------------------------------------------------------


def test_parts_share_their_classes_and_one_store():
    x = grey(12)
    samples = read_parts({"train": (x[:11], [3, 5] * 5 + [3]), "test": (x[11:], [5])})

    assert samples.classes == ("3", "5")
    assert samples.keys[[0, 10, 11]].tolist() == ["train/00", "train/10", "test/0"]
    assert samples.split("test").labels.tolist() == [1]
    assert decoded(samples.store, samples.split("test").rows)[0][0, 0].tolist() == [11] * 3


def test_a_train_part_alone_is_undecided():
    assert set(read_parts({"train": (grey(), [0, 1, 0, 1])}).splits) == {""}


def test_parts_are_of_one_sort():
    with pytest.raises(BadData, match=r"found uint8 \(2, 3\) and float64 \(2, 3\)"):
        read_parts({"train": (grey(), [0, 1, 0, 1]), "test": (grey() / 255, [0, 1, 0, 1])})


FLOATS, BYTES = np.linspace(0, 1, 24).reshape(4, 2, 3), np.arange(24.0).reshape(4, 2, 3) * 11

SCALES = {
    "floats 0..1 and 0..255": (
        FLOATS,
        BYTES,
        ["train: float64 0.0 to 1.0", "test: float64 0.0 to 253.0"],
    ),
    "the other way round": (
        BYTES,
        FLOATS,
        ["train: float64 0.0 to 253.0", "test: float64 0.0 to 1.0"],
    ),
    "divided twice": (
        FLOATS,
        FLOATS / 255,
        ["train: float64 0.0 to 1.0", f"test: float64 0.0 to {1 / 255}"],
    ),
    "whole numbers 0 and 1": (
        BYTES.astype("uint8"),
        np.round(FLOATS).astype("uint8"),
        ["train: uint8 0 to 253", "test: uint8 0 to 1"],
    ),
}


@pytest.mark.parametrize("case", SCALES)
def test_splits_of_different_scale_are_refused_with_their_ranges(case):
    train, test, ranges = SCALES[case]
    with pytest.raises(BadData, match="should have one range") as error:
        read_parts({"train": (train, [0, 1, 0, 1]), "test": (test, [0, 1, 0, 1])})
    assert error.value.offenders == ranges


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_splits_of_one_scale_are_read_alike(scale):
    """A darker test split, with a maximum of 130 of 255, keeps its values."""
    x, y = np.arange(24.0).reshape(4, 2, 3) * 11, [0, 1, 0, 1]
    dark = np.clip(x, 0, 130)
    samples = read_parts({"train": (x * scale, y), "test": (dark * scale, y)})

    images = np.stack(decoded(samples.store, samples.rows))[..., 0]
    assert images.tolist() == np.concatenate([x, dark]).tolist()


def test_images_that_are_nearly_black_are_named(caplog):
    read_arrays(np.eye(4, dtype="uint8").reshape(4, 2, 2), [0, 1, 0, 1])

    assert "no pixel exceeds 1 of 255" in caplog.text


def test_images_of_another_scale_in_one_array_are_named(caplog):
    read_arrays(np.concatenate([BYTES[1:3], FLOATS[2:]]), [0, 1, 0, 1])

    assert "2 of 4 images lie in 0..1, the others in 0..255, such as number 2" in caplog.text


def test_labels_of_the_splits_are_of_one_sort():
    with pytest.raises(BadData, match="numbers, or names; found int64 and <U1"):
        read_parts({"train": (grey(), [0, 1, 0, 1]), "test": (grey(), ["0", "1", "0", "1"])})


def test_one_class_is_enough_where_the_classes_are_known():
    assert read_arrays(grey(), ["b"] * 4, known=["a", "b"]).classes == ("b",)


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_npz_with_parts_and_names(tmp_path, val):
    pairs = {"x_train": grey(), "y_train": [0, 1, 0, 1], f"x_{val}": grey(2), f"y_{val}": [1, 0]}
    np.savez(tmp_path / "a.npz", **pairs, class_names=["cat", "dog"], other=[1])
    samples = read_npz(tmp_path / "a.npz")

    assert samples.classes == ("cat", "dog")
    assert samples.splits.tolist() == ["train"] * 4 + ["val"] * 2
    assert samples.labels.tolist() == [0, 1, 0, 1, 1, 0]


PAIR = {"x_train": grey(), "y_train": [0, 1, 0, 1]}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"x_val": grey(), "y_val": 1, "x_valid": grey(), "y_valid": 1}, "holds x_val and x_valid"),
        ({"x_dev": grey(), "y_dev": 1, "x_val": grey(), "y_val": 1}, "both of which are the val"),
        ({"X_train": grey()}, "holds x_train and X_train"),
        ({"y_test": [0, 1]}, "holds y_test, but no x_test"),
        (
            {"x_tets": grey(), "y_tets": [0, 1]},
            "array x_tets, which is not read. Did you mean 'x_test'",
        ),
        ({"class_name": ["a", "b"]}, "Did you mean 'class_names'"),
    ],
)
def test_npz_with_arrays_that_would_be_lost(tmp_path, more, message):
    np.savez(tmp_path / "a.npz", **PAIR, **more)
    with pytest.raises(BadData, match=message):
        read_npz(tmp_path / "a.npz")


def test_npz_names_as_others_write_them(tmp_path, caplog):
    caplog.set_level("INFO", "keras_transfer")
    arrays = {"X_train": grey(), "y_train": [0, 1, 0, 1], "X_dev": grey(2), "Y_dev": [1, 0]}
    np.savez(tmp_path / "a.npz", **arrays, ids=[1, 2], x_train2=[0])
    samples = read_npz(tmp_path / "a.npz")

    assert samples.splits.tolist() == ["train"] * 4 + ["val"] * 2
    assert "Ignored arrays in" in caplog.text
    assert "ids, x_train2" in caplog.text


def test_npz_without_parts(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=grey(), y=["b", "a", "b", "a"])
    samples = read_npz(tmp_path / "a.npz")

    assert samples.classes == ("a", "b")
    assert set(samples.splits) == {""}


def _stating(shape, dtype="|u1"):
    """A function that writes an array whose header states another shape than it has."""

    def write(path):
        header = io.BytesIO()
        stated = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, stated)
        np.savez(path, y=[0, 1, 0, 1])
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("x.npy", header.getvalue() + bytes(24))

    return write


def _with_password(path):
    """Its flag alone, which is all that a reader looks at."""
    np.savez(path, x=grey(), y=[0, 1, 0, 1])
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + place] |= 1
    path.write_bytes(content)


def _truncated(path):
    np.savez(path, x=grey(), y=[0, 1, 0, 1])
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: np.savez(path, x_train=grey()), "holds x_train, but no y_train"),
        (
            lambda path: np.savez(path, images=grey()),
            "x_train and y_train, or x and y, or another pair .*; found image",
        ),
        (lambda path: np.savez(path, x=np.array([{}] * 2), y=[0, 1]), "Object arrays"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_text("x,y"), "cannot be read"),
        (lambda path: np.save(path.open("wb"), grey()), "cannot be read"),
        (_truncated, "cannot be read"),
        (_stating((10**12,)), "x.npy states .*, and has 24 bytes"),
        (_stating((2**40, 2**40), "<f8"), "x.npy states"),
        (_stating((0, 10**30)), "x.npy states"),
        (_stating((-24, -1, 1)), "cannot be read"),
        (_stating((10**9,), "|S1000000000"), "x.npy states"),
        (_stating((4, 2, 4)), "x.npy states"),
        (_with_password, "password"),
    ],
)
def test_npz_that_cannot_be_read(tmp_path, write, message):
    write(tmp_path / "a.npz")
    with pytest.raises(BadData, match=message):
        read_npz(tmp_path / "a.npz")


def test_an_npz_that_is_larger_than_the_memory(tmp_path, monkeypatch):
    """4 x 2 x 3 bytes and four numbers of eight."""
    np.savez(tmp_path / "a.npz", x=grey(), y=[0, 1, 0, 1], other=np.zeros(100))
    monkeypatch.setattr(memory, "available", lambda: 56)
    assert len(read_npz(tmp_path / "a.npz")) == 4
    monkeypatch.setattr(memory, "available", lambda: 55)

    with pytest.raises(BadData, match="a folder of image files"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.real_data
def test_npz_of_cifar10(shared_data):
    path = shared_data / "cifar10_subset" / "cifar10_5000_1000.npz"
    samples = read_npz(path)

    assert samples.classes[:3] == ("airplane", "automobile", "bird")
    assert samples.split("train").counts().tolist() == [500] * 10
    assert samples.split("test").counts().tolist() == [100] * 10
    last = decoded(samples.store, samples.split("test").rows[-1:])[0]
    assert last.tolist() == np.load(path)["x_test"][-1].tolist()


def test_digits_are_scikit_learns():
    samples = read_sklearn("digits")
    images, target = load_digits().images, load_digits().target

    assert samples.classes == tuple("0123456789")
    assert samples.labels.tolist() == target.tolist()
    image = decoded(samples.store, [7])[0]
    assert image[..., 0].tolist() == np.round(images[7] * 255 / 16).tolist()


def test_scikit_learn_data_that_do_not_come_with_it():
    with pytest.raises(UnknownName, match="Did you mean 'digits'"):
        read_sklearn("digit")
