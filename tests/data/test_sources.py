"""What the user writes, and what is read then."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from images import decoded

from keras_transfer.data.arrays import Arrays
from keras_transfer.data.samples import Samples
from keras_transfer.data.sources import ENDINGS, SCHEMES, check_there, describe, read
from keras_transfer.errors import BadConfiguration, BadData, UnknownName

X, Y = np.arange(48, dtype="uint8").reshape(4, 3, 4), [0, 1, 0, 1]


@pytest.fixture
def images(tmp_path):
    """A folder pets/{cat,dog} of two PNG files each."""
    for name, image in zip(("cat/a", "cat/b", "dog/a", "dog/b"), X, strict=True):
        path = tmp_path / "pets" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(image[..., None]).numpy())
    return tmp_path / "pets"


def pixels(samples):
    return np.stack([image[..., 0] for image in decoded(samples.store, samples.rows)])


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_folder(images, as_type):
    samples = read(as_type(images))

    assert samples.classes == ("cat", "dog")
    assert pixels(samples).tolist() == X.tolist()


@pytest.mark.parametrize(("ending", "separator"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
def test_a_manifest(images, ending, separator):
    path = images / f"list{ending}"
    rows = [("path", "label"), ("cat/a.png", "yes"), ("dog/a.png", "no"), ("dog/b.png", "no")]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    samples = read(path)

    assert samples.classes == ("no", "yes")
    assert len(samples) == 3


def test_an_npz_file(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)

    assert pixels(read(str(tmp_path / "a.npz"))).tolist() == X.tolist()


def test_arrays():
    assert pixels(read((X, Y))).tolist() == X.tolist()


def test_arrays_as_keras_datasets_give_them():
    samples = read(((X, Y), (X[:2], Y[:2])))

    assert samples.splits.tolist() == ["train"] * 4 + ["test"] * 2


def test_samples_come_back_as_they_are():
    samples = Samples.of(Arrays(X), ["a", "b"], ["0", "1", "2", "3"], Y)

    assert read(samples) is samples


def test_scikit_learns_digits():
    assert len(read("sklearn:digits")) == 1797


def test_a_folder_with_a_colon_in_its_name_is_a_folder(images, monkeypatch):
    images.rename(images.parent / "tfds:pets")
    monkeypatch.chdir(images.parent)

    assert len(read("tfds:pets")) == 4


def test_a_home_folder_is_written_with_a_tilde(images, monkeypatch):
    monkeypatch.setenv("HOME", str(images.parent))

    assert len(read("~/pets")) == 4


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("tfd:cifar10", UnknownName, "source of data is called 'tfd'. Did you mean 'tfds'"),
        ("sklearn:iris", UnknownName, "No scikit-learn data set is called 'iris'"),
        ("pet", BadData, "pet does not exist. Did you mean pets?"),
        ("pets/cats", BadData, "pets/cats does not exist. Did you mean pets/cat?"),
        ("nowhere/at/all", BadData, "nowhere/at/all does not exist. Data are a folder, a .csv"),
        ("pets/cat/a.png", UnknownName, "No kind of data file is called '.png'"),
        ("", BadConfiguration, "data should be a path"),
        (None, BadConfiguration, "found None"),
        (X, BadConfiguration, "data should be a path"),
        ("a/" * 3000, BadData, "a/a/... (5,999) does not exist"),
        ("a" * 300, BadData, "a... (300) does not exist"),
        ("tfd:" + "a/" * 3000, UnknownName, "Did you mean 'tfds'"),
    ],
)
def test_what_cannot_be_read(images, monkeypatch, data, error, message):
    monkeypatch.chdir(images.parent)
    with pytest.raises(error) as raised:
        read(data)

    assert message in str(raised.value)


@pytest.mark.parametrize(("data", "error"), [("pet", BadData), ("tfd:cifar10", UnknownName)])
def test_what_is_not_there_is_refused_without_reading(images, monkeypatch, data, error):
    monkeypatch.chdir(images.parent)
    with pytest.raises(error, match="Did you mean"):
        check_there(data)
    for there in ("pets", images, "tfds:cifar10", (X, X), None):
        check_there(there)


def test_every_source_is_documented():
    for name in (*SCHEMES, *ENDINGS):
        assert name in read.__doc__


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("tfds:cifar10", "tfds:cifar10"),
        (Path("photos"), "photos"),
        ((X, Y), "arrays (4, 3, 4)"),
        (((X, Y), (X[:2], Y[:2])), "arrays (4, 3, 4) and (2, 3, 4)"),
        (Samples.of(None, ["a", "b"], ["0", "1"], [0, 1]), "2 samples"),
    ],
)
def test_descriptions(data, expected):
    assert describe(data) == expected


def test_nothing_is_loaded_before_it_is_wanted():
    """The table itself needs no TensorFlow, arrays do not need tensorflow-datasets."""
    code = """if True:
        import sys
        from keras_transfer.data import sources
        assert "tensorflow" not in sys.modules and "sklearn" not in sys.modules
        sources.read("sklearn:digits")
        assert "tensorflow_datasets" not in sys.modules
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- layouts and known classes ----------------------------------------------------------------


def test_a_layout_is_passed_on_to_folders(tmp_path):
    for folder in ("first/a", "first/b", "second/a", "second/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jpg").touch()

    with pytest.raises(BadData, match="several ways"):
        read(tmp_path)
    assert read(tmp_path, layout="class").classes == ("first", "second")
    assert read(tmp_path / "first", known=["a", "b", "c"]).classes == ("a", "b")


@pytest.mark.parametrize("data", ["sklearn:digits", "a.npz", "nowhere"])
def test_a_layout_without_a_folder_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x=X, y=Y)

    with pytest.raises(BadConfiguration, match=r"is no folder\. Leave layout at auto"):
        read(data, layout="class")


# --- names of classes -------------------------------------------------------------------------

SPELLINGS = {
    "case": ["Red", "red"],
    "spaces": ["red", "red "],
    "inner spaces": ["dark red", "dark  red"],
    "no-break space": ["dark red", "dark\u00a0red"],
    "numbers": ["1", "1.0"],
    "zeros": ["01", "1"],
    "composed letters": ["caf\u00e9", "cafe\u0301"],
    "wide digits": ["12", "\uff11\uff12"],
    "invisible characters": ["red", "red\u200b"],
    "sharp s": ["stra\u00dfe", "STRASSE"],
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_a_class_in_two_spellings_is_refused(case):
    first, second = SPELLINGS[case]
    with pytest.raises(BadData, match="differ in case, spaces") as error:
        read((X, [first, second, "other", first]))
    assert f"{first!a} (images: 2)" in error.value.offenders[0]
    assert f"{second!a} (images: 1)" in error.value.offenders[0]


@pytest.mark.parametrize(
    "names", [["A", "a"], ["A+", "A-"], ["1", "-1"], ["1.5", "15"], ["none", "some"], ["1_0", "10"]]
)
def test_classes_that_may_be_different_stay_apart(names):
    assert set(read((X, names * 2)).classes) == set(names)


@pytest.mark.parametrize("name", ["nan", "NaN", "<NA>", "null", "", " "])
def test_a_missing_value_is_no_class(name):
    with pytest.raises(BadData, match="have the name of a missing value") as error:
        read((X, ["a", "b", name, name]))
    assert error.value.offenders == [f"{name!a} (images: 2)"]


@pytest.mark.parametrize("name", ["a\nb", "a\r", "a\tb", "a\x00b", "a\u2028b"])
def test_control_characters_in_a_class_are_refused(name, images):
    """A line break would shift every following line of a file of labels."""
    with pytest.raises(BadData, match="hold line breaks or other control") as error:
        read((X, ["c", name, "c", "c"]))
    assert error.value.offenders == [f"{name!a} (images: 1)"]


def test_class_folders_are_held_to_the_same_rules(images):
    (images / "cat").rename(images / "a\nb")

    with pytest.raises(BadData, match="hold line breaks"):
        read(images)


@pytest.mark.parametrize("also", [True, False])
def test_labels_may_have_another_column(tmp_path, also):
    """One that is called label then counts for nothing."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    rows = [["path", "Kind", *["label"] * also], ["a.png", "x", *["1"] * also]]
    rows.append(["b.png", "y", *["1"] * also])
    (tmp_path / "t.csv").write_text("".join(",".join(row) + "\n" for row in rows))

    samples = read(str(tmp_path / "t.csv"), label="Kind")

    assert samples.classes == ("x", "y")
    assert samples.labels.tolist() == [0, 1]
