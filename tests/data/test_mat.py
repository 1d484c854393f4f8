"""Images and labels from MATLAB files, and from one of several pairs of arrays in a file."""

import struct
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
import scipy.sparse
from images import decoded
from scipy.io import loadmat, savemat

from keras_transfer.data import mat5, memory
from keras_transfer.data.mat import read_mat
from keras_transfer.data.sources import check_there, describe, path_of, read
from keras_transfer.errors import BadData, UnknownName

DIGITS = np.random.default_rng(0).integers(1, 256, (5, 4, 4), "uint8")
"""Five images of 4 x 4 pixels."""

LABELS = np.array([2, 10, 9, 2, 1])


def write_old(path, arrays, **options):
    savemat(path, arrays, do_compression=options.get("compressed", True))


def write_new(path, arrays, **options):
    """As MATLAB writes version 7.3: with its class, and with the axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            how = {"compression": "gzip"} if options.get("compressed", True) else {}
            kind = {"float64": "double", "float32": "single"}.get(values.dtype.name)
            written = file.create_dataset(name, data=np.atleast_2d(values).T, **how)
            written.attrs["MATLAB_class"] = np.bytes_(kind or values.dtype.name)


WRITERS = pytest.mark.parametrize("write", [write_old, write_new])


def flat(images):
    """(features, n), the rows of an image one after the other."""
    return images.reshape(len(images), -1).T


def column(labels):
    return np.asarray(labels, float)[:, None]


def pixels(samples):
    return np.stack([image[..., 0] for image in decoded(samples.store, samples.rows)])


# --- versions and orientation ---------------------------------------------------------------------


@WRITERS
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (flat(DIGITS), column(LABELS)),
        (flat(DIGITS).T, column(LABELS).T),
        (np.moveaxis(DIGITS, 0, -1), column(LABELS)),
        (DIGITS, column(LABELS)),
        (np.moveaxis(DIGITS, 0, -1)[:, :, None], column(LABELS).T),
        (flat(DIGITS).astype("float64"), LABELS[:, None].astype("uint8")),
        (flat(DIGITS / 255), column(LABELS)),
    ],
    ids=["d x n", "n x d", "h x w x n", "n x h x w", "h x w x c x n", "doubles", "0..1"],
)
def test_axes_and_values(tmp_path, write, compressed, images, labels):
    write(tmp_path / "a.mat", {"X": images, "Y": labels}, compressed=compressed)
    samples = read(tmp_path / "a.mat")

    assert pixels(samples).tolist() == DIGITS.tolist()
    assert samples.classes == ("1", "2", "9", "10")  # not the order of texts
    assert samples.labels.tolist() == [1, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64))]
)
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 3), (2, 3, 4)])
def test_arrays_of_older_files_are_those_that_scipy_reads(tmp_path, dtype, shape):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    savemat(tmp_path / "a.mat", {"a_long_name": values, "x": values}, do_compression=True)
    expected = loadmat(tmp_path / "a.mat", mat_dtype=True)
    with open(tmp_path / "a.mat", "rb") as file:
        found = {variable.name: mat5.load(file, variable) for variable in mat5.variables(file)}

    for name in ("a_long_name", "x"):
        assert found[name].dtype == expected[name].dtype
        assert found[name].tolist() == expected[name].tolist()


def test_a_file_of_another_byte_order(tmp_path):
    """Of a 2 x 1 double whose values are kept in four bytes of its tag, as MATLAB does."""
    flags = struct.pack(">IIII", 6, 8, 6, 0)
    shape, name = struct.pack(">IIii", 5, 8, 2, 1), struct.pack(">I4s", 1 << 16 | 1, b"X")
    inner = flags + shape + name + struct.pack(">IBBxx", 2 << 16 | 2, 7, 9)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI"
    path = tmp_path / "a.mat"
    path.write_bytes(header + struct.pack(">II", 14, len(inner)) + inner)
    with open(path, "rb") as file:
        (variable,) = mat5.variables(file)

        assert mat5.load(file, variable).tolist() == [[7.0], [9.0]]
    assert loadmat(path)["X"].tolist() == [[7], [9]]


@WRITERS
def test_colours(tmp_path, write):
    """Of axes (h, w, c, n), as in SVHN, one colour after the other."""
    rgb = np.arange(5 * 3 * 2 * 3, dtype="uint8").reshape(5, 3, 2, 3)
    write(tmp_path / "a.mat", {"X": np.moveaxis(rgb, 0, -1), "y": column(LABELS)})
    samples = read(tmp_path / "a.mat")

    assert np.stack(decoded(samples.store, samples.rows)).tolist() == rgb.tolist()


@WRITERS
def test_black_and_white_doubles_are_not_taken_for_bytes(tmp_path, write):
    """MATLAB writes doubles that are whole numbers as bytes: 1 is white, not 1 of 255."""
    write(tmp_path / "a.mat", {"X": flat(DIGITS > 127).astype(float), "Y": column(LABELS)})

    assert pixels(read(tmp_path / "a.mat")).tolist() == (255 * (DIGITS > 127)).tolist()


@WRITERS
def test_splits(tmp_path, write):
    arrays = {"x_train": flat(DIGITS), "y_train": column(LABELS)}
    write(tmp_path / "a.mat", arrays | {"x_test": DIGITS[:2], "y_test": column([9, 10])})
    samples = read(tmp_path / "a.mat")

    assert samples.split("train").labels.tolist() == [1, 3, 2, 1, 0]
    assert pixels(samples.split("test")).tolist() == DIGITS[:2].tolist()


@WRITERS
def test_numbers_to_predict(tmp_path, write):
    write(tmp_path / "a.mat", {"X": flat(DIGITS), "Y": column([0.5, 1, 2, 3, 4])})

    cells = read(tmp_path / "a.mat", columns=["label"]).cells["label"]
    assert cells.tolist() == ["0.5", "1.0", "2.0", "3.0", "4.0"]


@WRITERS
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.ones((16, 16)), np.arange(16) % 2, "Leave out an image"),
        (np.ones((5, 4, 5)), LABELS, "Leave out an image"),
        (np.ones((16, 4)), LABELS, "holds 5 labels: neither the first nor the last axis has"),
        (np.ones((48, 5)), LABELS, "48 values each, which are square if they have three colours"),
        (np.ones((15, 5)), LABELS, "15 values each, which are not square"),
        (np.ones((16, 5)), np.eye(5), "Y in .* should be .1, n. or .n, 1., .* found .5, 5."),
        (np.ones((16, 5)), LABELS + 0.5, "whole numbers or names"),
        (np.ones((16, 5)), LABELS * np.inf, "whole numbers or names"),
        (np.full((16, 5), -1.0), LABELS, "Pixels should lie in 0..255"),
        (np.ones((2, 2, 2, 5)), LABELS, "1, 3 or 4 channels"),
    ],
)
def test_arrays_that_are_no_images_and_labels(tmp_path, write, images, labels, message):
    labels = np.asarray(labels, float)
    write(tmp_path / "a.mat", {"X": images, "Y": labels if labels.ndim == 2 else labels[:, None]})
    with pytest.raises(BadData, match=message):
        read(tmp_path / "a.mat")


# --- one of several pairs -------------------------------------------------------------------------


def write_npz(path, arrays, **options):
    """NumPy's files hold images with their axes in order."""
    images = {name: DIGITS[: v.shape[1]] for name, v in arrays.items() if name[0] in "xX"}
    np.savez(path, **(arrays | images))


SEVERAL = {
    "Xs": flat(DIGITS),
    "Ys": column(LABELS),
    "Xt": flat(DIGITS[:3]),
    "Yt": column([9, 1, 9]),
    "x_usps": flat(DIGITS[:2]),
    "y_usps": column([3, 4]),
    "X_src": flat(DIGITS[:2]),
    "Y_src": column([5, 6]),
    "x_only": flat(DIGITS),
}


@pytest.fixture(params=[write_old, write_new, write_npz], ids=["old.mat", "new.mat", "new.npz"])
def several(request, tmp_path, monkeypatch):
    """A file of four pairs, and of images without labels, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = f"a.{'npz' if request.param is write_npz else 'mat'}"
    request.param(path, SEVERAL)
    return path


@pytest.mark.parametrize(
    ("name", "labels"),
    [("Xs", "2 10 9 2 1"), ("Xt", "9 1 9"), ("x_usps", "3 4"), ("X_src", "5 6")],
)
def test_images_are_named(several, name, labels):
    samples = read(f"{several}:{name}")

    assert [samples.classes[label] for label in samples.labels] == labels.split()
    assert pixels(samples).tolist() == DIGITS[: len(samples)].tolist()
    assert describe(f"{several}:{name}") == f"{several}:{name}"


def test_of_several_pairs_one_has_to_be_named(several):
    with pytest.raises(BadData) as error:
        read(several)
    assert str(error.value) in (
        f"{several} holds Xs, Xt, x_usps, X_src. Name one, e.g. {several}:Xs.",
        f"{several} holds X_src, Xs, Xt, x_usps. Name one, e.g. {several}:X_src.",  # HDF5 sorts
    )


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("x_usp", UnknownName, "is called 'x_usp'. Did you mean 'x_usps'?"),
        ("Q", UnknownName, "is called 'Q'. There are: X"),
        ("Ys", UnknownName, "is called 'Ys'"),
        ("x_only", BadData, "holds x_only, but no y_only, which should be its labels"),
    ],
)
def test_names_that_are_wrong(several, name, error, message):
    with pytest.raises(error) as raised:
        read(f"{several}:{name}")
    assert message in str(raised.value)


def test_one_pair_needs_no_name(tmp_path, caplog):
    caplog.set_level("INFO", "keras_transfer")
    write_old(tmp_path / "a.mat", {k: SEVERAL[k] for k in ("Xt", "Yt", "x_only")})

    assert read(tmp_path / "a.mat").counts().tolist() == [1, 2]
    assert "Ignored arrays in" in caplog.text
    assert caplog.text.rstrip().endswith(": x_only")


def test_x_alone_beside_other_pairs_is_not_taken_silently(tmp_path):
    arrays = {"X": SEVERAL["Xs"], "Y": SEVERAL["Ys"], "Xt": SEVERAL["Xt"], "Yt": SEVERAL["Yt"]}
    write_old(tmp_path / "a.mat", arrays)

    with pytest.raises(BadData, match=r"holds X, Xt\. Name one"):
        read(tmp_path / "a.mat")


def test_labels_in_the_same_case_come_first(tmp_path):
    np.savez(tmp_path / "a.npz", xs=DIGITS, Ys=column([1, 2, 1, 2, 1]), ys=column(LABELS))

    assert read(f"{tmp_path}/a.npz:xs").classes == ("1", "2", "9", "10")


# --- paths ----------------------------------------------------------------------------------------


def test_a_spec_is_checked_before_data_are_read(several, monkeypatch):
    check_there(f"{several}:Xs")
    monkeypatch.setenv("HOME", ".")
    check_there(f"~/{several}:Xs")
    with pytest.raises(BadData, match=rf"b.{several[-3:]} does not exist. Did you mean {several}"):
        check_there(f"b.{several[-3:]}:Xs")
    with pytest.raises(BadData, match=r"c\.csv:Xs does not exist"):
        check_there("c.csv:Xs")


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ("data/a.mat:Xs", "data/a.mat"),
        ("C:\\data\\a.mat", "C:\\data\\a.mat"),
        ("C:\\data\\a.NPZ:Xs", "C:\\data\\a.NPZ"),
        ("a.mat/b:Xs", "a.mat/b:Xs"),
        ("tfds:cifar10", "tfds:cifar10"),
    ],
)
def test_the_path_of_a_spec(data, path):
    assert str(path_of(data)) == path


def test_a_file_of_that_very_name_comes_first(several, tmp_path):
    folder = tmp_path / f"{several}:Xs"
    folder.mkdir()

    assert path_of(folder) == folder
    with pytest.raises(BadData, match="class"):
        read(folder)


# --- what is refused ------------------------------------------------------------------------------


def _empty(path, file):
    file["X"].attrs["MATLAB_empty"] = 1


def _linked(path, file):
    del file["X"]
    file["X"] = h5py.ExternalLink("other.mat", "X")


def _soft(path, file):
    del file["X"]
    file["X"] = h5py.SoftLink("/Y")


def _virtual(path, file):
    del file["X"]
    layout = h5py.VirtualLayout((5, 16), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "X", (5, 16))
    file.create_virtual_dataset("X", layout)


def _external(path, file):
    del file["X"]
    (path.parent / "other").write_bytes(bytes(640))
    place = str(path.parent / "other")
    file.create_dataset("X", (5, 16), "f8", external=[(place, 0, 640)])


def _cell(path, file):
    del file["X"]
    refs = np.array([file["Y"].ref] * 5, h5py.ref_dtype)
    file.create_dataset("X", data=refs).attrs["MATLAB_class"] = np.bytes_("cell")


def _struct(path, file):
    del file["X"]
    file.create_group("X").attrs["MATLAB_class"] = np.bytes_("struct")


def _strange(path, file):
    """Not of MATLAB, with three axes whose order is not known."""
    del file["X"]
    file["X"] = DIGITS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_empty, "X is empty"),
        (_linked, "X is a link"),
        (_soft, "X is a link"),
        (_virtual, "X is put together from other datasets"),
        (_external, "X is kept in another file"),
        (_cell, "X is a cell array"),
        (_struct, "X is a struct array"),
        (_strange, "X was not written by MATLAB"),
    ],
)
def test_new_files_with_other_than_numbers(tmp_path, change, message):
    path = tmp_path / "a.mat"
    write_new(path, {"X": flat(DIGITS), "Y": column(LABELS)})
    with h5py.File(path, "r+") as file:
        change(path, file)
    with pytest.raises(BadData) as error:
        read_mat(path)
    assert message in error.value.offenders[0]


def test_hdf5_files_of_rows_are_read_without_matlabs_class(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["X"], file["Y"] = flat(DIGITS).T, LABELS

    assert pixels(read(tmp_path / "a.mat")).tolist() == DIGITS.tolist()


def test_version_4_is_refused(tmp_path):
    savemat(tmp_path / "a.mat", {"X": flat(DIGITS), "Y": column(LABELS)}, format="4")

    with pytest.raises(BadData, match=r"it is not of version 5 to 7\.3"):
        read_mat(tmp_path / "a.mat")


CELLS = np.array([[1], "ab", 3, 4, 5], object)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (CELLS, "X is a cell array"),
        ({"a": 1}, "X is a struct array"),
        ("text", "X is a char array"),
        (flat(DIGITS) > 99, "X is a logical array"),
        (flat(DIGITS) * 1j, "X is a complex array"),
        (scipy.sparse.csc_matrix(flat(DIGITS)), "X is a sparse array"),
        (np.zeros((16, 0)), "X is empty"),
    ],
)
def test_old_files_with_other_than_numbers(tmp_path, images, message):
    write_old(tmp_path / "a.mat", {"X": images, "Y": column(LABELS), "other": CELLS})
    with pytest.raises(BadData) as error:
        read_mat(tmp_path / "a.mat")
    assert error.value.offenders == [message]


@WRITERS
def test_files_that_are_larger_than_the_memory(tmp_path, monkeypatch, write):
    """5 x 16 and 5 doubles of 8 bytes; what is not read does not count."""
    arrays = {"X": flat(DIGITS / 255), "Y": column(LABELS)}
    write(tmp_path / "a.mat", arrays | {"more": np.zeros((1, 5))}, compressed=False)
    monkeypatch.setattr(memory, "available", lambda: 680)
    assert len(read_mat(tmp_path / "a.mat")) == 5

    monkeypatch.setattr(memory, "available", lambda: 679)
    with pytest.raises(BadData, match="of memory are free"):
        read_mat(tmp_path / "a.mat")


def test_no_more_is_unpacked_than_is_stated(tmp_path):
    """A small file of 100 MB of zeros, in an array that states 16 x 5 of them."""
    write_old(tmp_path / "a.mat", {"X": np.zeros((16, 5)), "Y": column(LABELS)}, compressed=False)
    parts = tmp_path.joinpath("a.mat").read_bytes().partition(struct.pack("<II", 9, 640))
    long = parts[0][128:] + struct.pack("<II", 9, 10**8) + bytes(10**8)
    packed = zlib.compress(long, 1)
    written = parts[0][:128] + struct.pack("<II", 15, len(packed)) + packed + parts[2][640:]
    tmp_path.joinpath("a.mat").write_bytes(written)

    tracemalloc.start()
    with pytest.raises(BadData, match="more values than it states"):
        read_mat(tmp_path / "a.mat")
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_a_dataset_that_states_more_than_the_memory(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("X", (16, 2**40), "f8", chunks=(16, 16))
        file["Y"] = LABELS

    with pytest.raises(BadData, match="of memory are free"):
        read_mat(tmp_path / "a.mat")


@WRITERS
@pytest.mark.parametrize("damage", ["empty", "text", "end", "start"])
def test_damaged_files(tmp_path, write, damage):
    path = tmp_path / "a.mat"
    write(path, {"X": flat(DIGITS), "Y": column(LABELS)}, compressed=False)
    content = path.read_bytes()
    changed = {"empty": b"", "text": b"x, y\n" * 99, "end": content[:-20], "start": content[:90]}
    path.write_bytes(changed[damage])

    with pytest.raises(BadData, match="cannot be read as a MATLAB file"):
        read_mat(path)


# --- real data ------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("Xs", [196, 227, 207, 202, 196, 179, 191, 206, 195, 201]),
        ("Xt", [352, 241, 165, 166, 166, 126, 139, 172, 129, 144]),
    ],
)
def test_mnist_and_usps(shared_data, name, counts):
    path = shared_data / "mnist_usps" / "MNIST_vs_USPS.mat"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    samples = read(f"{path}:{name}")

    assert samples.classes == tuple(map(str, range(1, 11)))
    assert samples.counts().tolist() == counts
    with h5py.File(path) as file:
        first = np.round(255 * file[name][0].reshape(16, 16))
    assert decoded(samples.store, [0])[0][..., 0].tolist() == first.tolist()
