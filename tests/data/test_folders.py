"""Class folders, with and without splits, and what is said of folders laid out otherwise."""

import logging
import os

import pytest

from keras_transfer.data.folders import read_folder
from keras_transfer.errors import BadData


@pytest.fixture
def tree(tmp_path):
    """Make empty files, and folders where a name ends in a slash; give the folder they are in."""
    root = tmp_path / "photos"
    root.mkdir()

    def make(*names):
        for name in names:
            path = root / name
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                path.touch()
        return root

    return make


def rows(samples, root):
    """(path below the root, class, part) of each row."""
    paths = [os.path.relpath(key, root) for key in samples.keys]
    names = [samples.classes[label] for label in samples.labels]
    return list(zip(paths, names, samples.splits, strict=True))


def test_class_folders_hold_the_images_of_all_folders_below_them(tree):
    root = tree("dog/3.jpg", "cat/2.png", "cat/10.JPG", "cat/kittens/1.webp", "dog/2.jpeg")

    samples = read_folder(root)

    assert samples.classes == ("cat", "dog")
    assert rows(samples, root) == [
        ("cat/10.JPG", "cat", ""),
        ("cat/2.png", "cat", ""),
        ("cat/kittens/1.webp", "cat", ""),
        ("dog/2.jpeg", "dog", ""),
        ("dog/3.jpg", "dog", ""),
    ]
    assert [samples.store.paths[row] for row in samples.rows] == list(samples.keys)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_parts_are_read_in_order_with_the_classes_of_train(tree, val):
    root = tree("train/b/1.jpg", "train/a/1.jpg", "train/c/1.jpg", f"{val}/b/1.jpg", "test/a/1.jpg")

    samples = read_folder(root)

    assert samples.classes == ("a", "b", "c")
    assert rows(samples, root) == [
        ("train/a/1.jpg", "a", "train"),
        ("train/b/1.jpg", "b", "train"),
        ("train/c/1.jpg", "c", "train"),
        (f"{val}/b/1.jpg", "b", "val"),
        ("test/a/1.jpg", "a", "test"),
    ]


def test_train_alone_is_not_a_part(tree):
    assert set(read_folder(tree("train/a/1.jpg", "train/b/1.jpg")).splits) == {""}


def test_a_class_may_be_called_train(tree):
    assert read_folder(tree("bus/1.jpg", "train/1.jpg")).classes == ("bus", "train")


def test_folders_beside_parts_are_ignored_with_a_warning(tree, caplog):
    root = tree("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "labels/1.txt", "more/c/1.jpg")

    assert len(read_folder(root)) == 3
    assert "Ignored folders next to train" in caplog.text
    assert "labels, more" in caplog.text


def test_keys_are_sorted_whatever_the_classes_are_called(tree):
    keys = list(read_folder(tree("a/1.jpg", "a/z/1.jpg", "a-b/1.jpg", "B/1.jpg")).keys)

    assert keys == sorted(keys)


def test_hidden_files_and_folders_are_passed_over(tree, caplog):
    root = tree("a/1.jpg", "b/1.jpg", "a/._1.jpg", ".c/1.jpg", "a/.thumbs/1.jpg", ".DS_Store")

    assert len(read_folder(root)) == 2
    assert caplog.text == ""


def test_files_that_are_no_images_are_counted(tree, caplog):
    caplog.set_level(logging.WARNING, "keras_transfer")
    root = tree("a/1.jpg", "b/1.jpg", "a/1.txt", "b/x/2.TXT", "b/3.mp4", "note", "0.jpg")

    assert len(read_folder(root)) == 2
    assert "no images: 2 .txt, 1 without suffix, 1 .mp4" in caplog.text
    assert "outside the class folders of" in caplog.text
    assert "0.jpg" in caplog.text


def test_images_of_every_suffix_are_listed_for_the_check_to_judge(tree):
    root = tree("a/1.jfif", "a/2.TIF", "a/3.heic", "a/4.dcm", "a/5.nef", "b/1.jpg")
    (root / "b" / "2").write_bytes(b"\xff\xd8\xff\xe0")
    (root / "b" / "3.jpg?w=300").write_bytes(b"\xff\xd8\xff\xe0")

    assert read_folder(root).counts().tolist() == [5, 3]


def test_thumbnails_of_a_disk_station_are_neither_class_nor_image(tree, caplog):
    thumbnail = "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg"
    root = tree("a/1.jpg", "b/1.jpg", f"a/{thumbnail}", f"b/{thumbnail}", f"{thumbnail}")

    samples = read_folder(root)

    assert samples.classes == ("a", "b")
    assert len(samples) == 2
    assert "3 @eaDir" in caplog.text


def test_links_are_followed_once(tree):
    root = tree("a/1.jpg", "b/1.jpg", "../elsewhere/2.jpg", "../third/3.jpg")
    (root / "a" / "more").symlink_to(root.parent / "elsewhere")
    (root / "a" / "other").symlink_to(root.parent / "elsewhere")
    (root / "a" / "loop").symlink_to(root)
    (root / "b" / "self").symlink_to(root / "b")
    (root / "c").symlink_to(root.parent / "third")

    names = [os.path.relpath(key, root) for key in read_folder(root).keys]

    assert names == ["a/1.jpg", "a/more/2.jpg", "b/1.jpg", "c/3.jpg"]


def test_a_broken_link_is_an_image_that_the_scan_will_report(tree):
    root = tree("a/1.jpg", "b/1.jpg")
    (root / "a" / "2.jpg").symlink_to("nowhere")

    assert len(read_folder(root)) == 3


WRONG = {
    "empty": ([], "is empty"),
    "hidden only": ([".cat/1.jpg"], "is empty"),
    "images directly": (["1.jpg", "2.jpg"], "holds images (2), but no class folders"),
    "files only": (["a.csv", "b.csv"], "holds no class folders, only files: 2 .csv"),
    "one class": (["cat/1.jpg", "cat/2.jpg"], "holds only one class, 'cat' (images: 2)"),
    "one level too high": (
        ["set/cat/1.jpg", "set/dog/2.jpg"],
        "photos/set, which holds cat, dog?",
    ),
    "other files": (
        ["cat/1.txt", "cat/2.txt", "dog/3.mp4"],
        "hold no images, but 2 .txt, 1 .mp4.",
    ),
    "empty class": (["cat/1.jpg", "dog/2.jpg", "emu/"], "1 of 3 class folders"),
    "one class in train": (["train/cat/1.jpg", "test/cat/1.jpg"], "train holds only one class"),
    "no train": (["val/a/1.jpg", "test/a/1.jpg"], "should hold a folder train"),
    "val twice": (
        ["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"],
        "at most one for each other split; found train, val, valid",
    ),
    "unknown class": (
        ["train/cat/1.jpg", "train/dog/1.jpg", "test/Cat/1.jpg", "test/dog/1.jpg"],
        "test: No class is called 'Cat'. Did you mean 'cat'?",
    ),
    "images in train": (
        ["train/1.jpg", "test/a/1.jpg"],
        "train holds images (1), but no class",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_layouts_say_what_was_found(case, tree):
    names, message = WRONG[case]

    with pytest.raises(BadData) as error:
        read_folder(tree(*names))
    assert message in str(error.value)


def test_an_example_is_given_with_the_folders_own_name(tree):
    root = tree("1.jpg")

    with pytest.raises(BadData, match="Expected one folder per class") as error:
        read_folder(root)
    assert f"{root}/cat/1.jpg" in str(error.value)


def test_empty_classes_are_named(tree):
    with pytest.raises(BadData) as error:
        read_folder(tree("a/1.jpg", "b/", "c/1.txt"))
    assert error.value.offenders == ["b", "c"]


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(BadData, match="does not exist"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(BadData, match="is a file, not a folder"):
        read_folder(tmp_path / "file")


def test_names_that_are_not_utf8_are_listed(tree):
    root = tree("a/1.jpg", "b/1.jpg")
    try:
        open(os.fsencode(root / "a") + b"/gr\xfcn.jpg", "wb").close()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")

    with pytest.raises(BadData, match="should be UTF-8") as error:
        read_folder(root)
    assert len(error.value.offenders) == 1


@pytest.mark.real_data
def test_the_real_cats_and_dogs(shared_data):
    """Counts from the README of the data."""
    samples = read_folder(shared_data / "cats_dogs")

    assert samples.classes == ("cat", "dog")
    assert {split: list(samples.split(split).counts()) for split in ("train", "val", "test")} == {
        "train": [700, 700],
        "val": [150, 150],
        "test": [250, 250],
    }


@pytest.mark.slow
def test_a_large_folder_is_listed_fast(tmp_path):
    """20,000 files take a fraction of a second; a slow machine has three."""
    import time

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(10_000):
            os.close(os.open(f"{tmp_path}/{name}/{i}.jpg", os.O_CREAT))

    begun = time.perf_counter()
    assert len(read_folder(tmp_path)) == 20_000
    assert time.perf_counter() - begun < 3
