"""Classes that the model could never have learned."""

import pytest

from keras_transfer.data.split_names import check_known, probable_split, split_of
from keras_transfer.errors import BadData


def test_parts_may_lack_classes_but_not_add_any():
    check_known("photos", {"train": ["cat", "dog"], "val": ["dog"], "test": []})

    with pytest.raises(BadData, match="photos has classes outside train") as error:
        check_known("photos", {"train": ["cat", "dog"], "val": ["emu"], "test": ["dogs", "cat"]})
    assert error.value.offenders == [
        "val: No class is called 'emu'. There are: cat, dog.",
        "test: No class is called 'dogs'. Did you mean 'dog'?",
    ]


@pytest.mark.parametrize(
    ("name", "clear", "probable"),
    [
        ("train", "train", "train"),
        ("Training", "train", "train"),
        ("TRAIN_SET", "train", "train"),
        ("trainset", "train", "train"),
        ("TestSet", "test", "test"),
        ("test_images", "test", "test"),
        ("Testing", "test", "test"),
        ("dev", "val", "val"),
        ("Validation Set", "val", "val"),
        ("seg_train", "", "train"),
        ("train2017", "", "train"),
        ("PublicTest", "", "test"),
        ("train_station", "", "train"),
        ("train_test", "", ""),
        ("images", "", ""),
        ("testimony", "", ""),
        ("contest", "", ""),
        ("Validity", "", ""),
        ("device", "", ""),
        ("", "", ""),
    ],
)
def test_names_of_splits(name, clear, probable):
    assert (split_of(name), probable_split(name)) == (clear, probable)


def test_spellings_that_look_the_same_are_told_apart():
    """U+00E9 against e and a combining accent, U+0301."""
    with pytest.raises(BadData) as error:
        check_known("photos", {"train": ["caf\u00e9", "x"], "test": ["cafe\u0301"]})
    assert error.value.offenders == [r"test: 'cafe\u0301' is spelled 'caf\xe9' in train."]
