"""Which folders are classes, and which are splits."""

import logging
import os
from typing import get_args

import pytest

from keras_transfer.data.folders import read_folder
from keras_transfer.data.layouts import LAYOUTS, Layout
from keras_transfer.errors import BadData, UnknownName


@pytest.fixture
def tree(tmp_path):
    """Make empty images, two of each pattern such as "{train,test}/{cat,dog}"."""
    root = tmp_path / "photos"
    root.mkdir()

    def make(*patterns):
        for pattern in patterns:
            for folder in _expanded(pattern):
                (root / folder).mkdir(parents=True, exist_ok=True)
                for i in (1, 2):
                    (root / folder / f"{i}.jpg").touch()
        return root

    return make


def _expanded(pattern):
    before, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    names, _, after = rest.partition("}")
    return [before + name + end for name in names.split(",") for end in _expanded(after)]


def found(samples):
    """(split, class) of the folders, with the number of their images."""
    names = [samples.classes[label] for label in samples.labels]
    pairs = list(zip(samples.splits, names, strict=True))
    return {pair: pairs.count(pair) for pair in sorted(set(pairs))}


SPLITS = [("test", "a"), ("test", "b"), ("train", "a"), ("train", "b")]
VAL = [("train", "a"), ("train", "b"), ("val", "a"), ("val", "b")]
CLASSES = [("", "a"), ("", "b")]

CLEAR = {
    "plain classes": ("{a,b}", CLASSES),
    "kaggle's brain tumours": ("{Training,Testing}/{a,b}", SPLITS),
    "Training and Test": ("{Training,Test}/{a,b}", SPLITS),
    "train and dev": ("{train,dev}/{a,b}", VAL),
    "sets": ("{training_set,test_set}/{a,b}", SPLITS),
    "splits inside": ("{a,b}/{train,test}", SPLITS),
    "splits inside, other words": ("{a,b}/{Training,Dev}", VAL),
    "folders of each class": ("{a/x,a/y,b/z}", CLASSES),
    "one folder in each class": ("{a,b}/images", CLASSES),
    "a class beside train": ("{train,bus}", [("", "bus"), ("", "train")]),
    "one split inside": ("{a,b}/train", CLASSES),
}


@pytest.mark.parametrize("case", CLEAR)
def test_names_that_leave_no_doubt_decide(case, tree):
    pattern, expected = CLEAR[case]

    assert [*found(read_folder(tree(pattern)))] == expected


def test_what_other_words_were_taken_for_is_logged(tree, caplog):
    caplog.set_level(logging.INFO, "keras_transfer")

    read_folder(tree("{Training,dev}/{a,b}"))

    assert "split/class; Training is train, dev is val" in caplog.text


DOUBT = {
    "any words": (["{first,second}/{a,b}"], "holds the same folders, a, b"),
    "a class is missing in one": (["first/{a,b,c}", "second/{a,b}"], "same folders, a, b, c"),
    "train and a word of the user's": (["{train,holdout}/{a,b}"], "same folders, a, b"),
    "kaggle's Intel scenes": (
        ["seg_train/seg_train/{a,b}", "seg_test/seg_test/{a,b}"],
        "seg_test, seg_train may be splits",
    ),
    "images of a competition": (["{train_imgs_v2,test_imgs_v2}"], "may be splits"),
    "COCO": (["{train2017,val2017}"], "may be splits"),
    "train beside samples": (["train/{a,b}", "samples"], "train holds only folders"),
    "splits inside some": (["a/{train,test}", "b"], "a holds folders that may be splits"),
    "images beside splits inside": (["{a,b}/{train,test}", "a"], "may be splits, test, train"),
}


@pytest.mark.parametrize("case", DOUBT)
def test_doubt_stops_with_the_readings(case, tree):
    patterns, message = DOUBT[case]

    with pytest.raises(BadData, match="can be read in several ways") as error:
        read_folder(tree(*patterns))
    assert message in str(error.value)
    assert "--layout class: the classes are" in str(error.value)


def test_each_reading_names_the_option_that_chooses_it(tree):
    with pytest.raises(BadData) as error:
        read_folder(tree("{site_train,site_test}/{a,b}"))
    assert error.value.offenders == [
        "--layout class: the classes are site_test, site_train",
        "--layout split/class: site_test, site_train are splits, the classes are a, b",
    ]


@pytest.mark.parametrize(
    ("pattern", "layout", "expected"),
    [
        ("{first,second}/{a,b}", "class", [("", "first"), ("", "second")]),
        ("{train,test}/{a,b}", "class", [("", "test"), ("", "train")]),
        ("{train,test}", "class", [("", "test"), ("", "train")]),
        ("{seg_train,seg_test}/{a,b}", "split/class", SPLITS),
        ("{train2017,val2017}/{a,b}", "split/class", VAL),
        ("{a,b}/{train,test}", "class", CLASSES),
        ("{a,b}/{my_train,my_test}", "class/split", SPLITS),
    ],
)
def test_the_user_chooses_a_layout(pattern, layout, expected, tree):
    assert [*found(read_folder(tree(pattern), layout))] == expected


@pytest.mark.parametrize(
    ("pattern", "layout", "message"),
    [
        ("{train,holdout}/{a,b}", "split/class", "Rename or remove:\n  holdout"),
        ("{a,b}", "split/class", "should hold a folder train"),
        ("{a,b}/{x,y}", "class/split", "found x. Rename it"),
        ("{a,b}", "class/split", "should hold a folder train each; found none"),
        ("{a,b}/{train,training}", "class/split", "found training. Rename it"),
    ],
)
def test_a_layout_that_is_not_there(pattern, layout, message, tree):
    with pytest.raises(BadData) as error:
        read_folder(tree(pattern), layout)
    assert message in str(error.value)


def test_the_setting_takes_every_layout():
    assert get_args(Layout) == tuple(LAYOUTS)


def test_a_layout_that_does_not_exist_is_suggested(tree):
    with pytest.raises(UnknownName, match="Did you mean 'split/class'"):
        read_folder(tree("{a,b}"), "splits/class")


# --- where a model has its classes already ----------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "known", "expected"),
    [
        ("a", ["a", "b"], [("", "a")]),
        ("{a,b}/{p1,p2}", ["a", "b"], CLASSES),
        ("test/{a,b}", ["a", "b"], [("test", "a"), ("test", "b")]),
        ("{val,test}/a", ["a", "b"], [("test", "a"), ("val", "a")]),
        ("{seg_train,seg_test}/{a,b}", ["a", "b"], SPLITS),
        ("{train,test}", ["train", "test"], [("", "test"), ("", "train")]),
    ],
)
def test_known_classes_decide(pattern, known, expected, tree):
    assert [*found(read_folder(tree(pattern), known=known))] == expected


def test_an_empty_class_folder_may_be_evaluated_on(tree, caplog):
    root = tree("a")
    (root / "b").mkdir()

    samples = read_folder(root, known=["a", "b", "c"])

    assert samples.counts().tolist() == [2, 0]
    assert "There are no images of b" in caplog.text


# --- splits without labels or classes ---------------------------------------------------------


@pytest.mark.parametrize("test", ["test", "test/unknown", "Testing/test"])
def test_a_test_folder_without_labels_says_what_to_do(test, tree):
    root = tree("train/{a,b}", test)

    with pytest.raises(BadData) as error:
        read_folder(root)
    assert f"--data {root}/train" in str(error.value)
    assert f"kt-recipe predict RUN {root}/{test.partition('/')[0]}" in str(error.value)


def test_a_test_split_may_lack_classes_or_hold_one_alone(tree, caplog):
    root = tree("train/{a,b,c}", "test/a")
    (root / "test" / "b").mkdir()

    samples = read_folder(root)

    assert samples.classes == ("a", "b", "c")
    assert samples.split("test").counts().tolist() == [2, 0, 0]
    assert f"There are no images of b in {root}/test" in caplog.text


def test_a_class_folder_without_images_to_train_on_is_refused(tree):
    root = tree("train/{a,b}", "test/{a,b,c}")
    (root / "train" / "c").mkdir()

    with pytest.raises(BadData, match="1 of 3 class folders") as error:
        read_folder(root)
    assert error.value.offenders == ["c"]


def test_images_beside_splits_and_classes_are_named(tree, caplog):
    root = tree("{train,test}/{a,b}", "train")
    (root / "0.jpg").touch()

    assert len(read_folder(root)) == 8
    assert f"Ignored images (1) outside the class folders of {root}: 0.jpg" in caplog.text
    assert f"Ignored images (2) outside the class folders of {root}/train: 1.jpg" in caplog.text


def test_links_from_split_to_split_end(tree):
    root = tree("{a,b}/{train,test}")
    os.symlink(root, root / "a" / "train" / "loop")

    assert set(found(read_folder(root)).values()) == {2}
