import pytest

from keras_transfer.errors import BadData, TransferError, UnknownName
from keras_transfer.tables import Table


@pytest.mark.parametrize(
    ("asked", "cure"),
    [
        ("resnet5O", "Did you mean 'resnet50'?"),
        ("VGG16", "Did you mean 'vgg16'?"),
        ("qqq", "There are: resnet50, vgg16."),
    ],
)
def test_a_missing_row_suggests_a_near_miss(asked, cure):
    table = Table("backbone", {"resnet50": 1, "vgg16": 2})

    with pytest.raises(UnknownName) as error:
        table[asked]

    assert str(error.value) == f"No backbone is called {asked!r}. {cure}"
    assert error.value.exit_code == 2


def test_bad_data_lists_the_first_ten_and_counts_the_rest():
    error = BadData("Twelve files cannot be read:", [f"{i}.jpg" for i in range(12)])

    lines = str(error).splitlines()
    assert lines[1] == "  0.jpg"
    assert lines[10:] == ["  9.jpg", "  ... and 2 more"]
    assert len(error.offenders) == 12


def test_every_error_has_the_exit_code_of_its_cure():
    """0 done, 1 unexpected, 2 configuration, 3 data or weights, 4 a check failed."""
    codes = {one.__name__: one.exit_code for one in _below(TransferError)}
    assert codes == {
        "BadConfiguration": 2,
        "UnknownName": 2,
        "BadData": 3,
        "BadFeatures": 3,
        "BadWeights": 3,
        "CheckFailed": 4,
    }


def _below(kind):
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)
