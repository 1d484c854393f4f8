"""Classes that the model could never have learned."""

import pytest

from keras_transfer.data.split_names import check_known
from keras_transfer.errors import BadData


def test_parts_may_lack_classes_but_not_add_any():
    check_known("photos", {"train": ["cat", "dog"], "val": ["dog"], "test": []})

    with pytest.raises(BadData, match="photos has classes outside train") as error:
        check_known("photos", {"train": ["cat", "dog"], "val": ["emu"], "test": ["dogs", "cat"]})
    assert error.value.offenders == [
        "val: No class is called 'emu'. There are: cat, dog.",
        "test: No class is called 'dogs'. Did you mean 'dog'?",
    ]
