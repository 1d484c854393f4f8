"""Groups from a table beside the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer import BadConfiguration, BadData
from keras_transfer.data.grouping import grouped
from keras_transfer.data.samples import Samples
from keras_transfer.data.splits import split

KEYS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")


def table(groups=("", "", "", "", "")):
    return Samples.of(None, ["cat", "dog"], KEYS, [0, 0, 1, 1, 1], groups=groups)


def written(folder, rows, header="path,group"):
    file = folder / "groups.csv"
    file.write_text(f"{header}\n{rows}\n", encoding="utf-8")
    return file


def test_groups_of_both_are_joined(tmp_path):
    """a and b are of one patient, b and c are twins, d and e too."""
    file = written(tmp_path, "b.jpg,t1\nc.jpg,t1\nd.jpg,t2\ne.jpg,t2\na.jpg,")
    found = grouped(table(groups=("anna", "anna", "", "", "")), file).groups
    assert found.tolist() == ["anna", "anna", "anna", "t2", "t2"]


def test_a_path_that_the_data_list_twice(tmp_path):
    samples = Samples.of(None, ["cat", "dog"], ["a.jpg", "b.jpg", "a.jpg"], [0, 1, 0])
    file = written(tmp_path, "a.jpg,t1\nb.jpg,t1\na.jpg,t1")
    assert grouped(samples, file).groups.tolist() == ["t1", "t1", "t1"]


def test_no_group_of_the_data_is_lost(tmp_path):
    file = written(tmp_path, "a.jpg,t1")
    found = grouped(table(groups=("", "x", "x", "y", "")), file).groups
    assert found.tolist() == ["t1", "x", "x", "y", ""]


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=25))
def test_linked_examples_are_in_one_split(tmp_path_factory, pairs):
    """Whatever the pairs; every class is in every split nevertheless, or that is refused."""
    keys = [f"{number}.jpg" for number in range(40)]
    chained = {}
    for one, other in pairs:  # a pair joins the groups of both
        old, new = chained.get(one, one), chained.get(other, other)
        chained |= {key: new for key, group in chained.items() if group == old}
        chained[one] = chained[other] = new
    rows = "\n".join(f"{keys[key]},g{group}" for key, group in chained.items())
    file = written(tmp_path_factory.mktemp("groups"), rows)
    samples = grouped(Samples.of(None, ["cat", "dog"], keys, np.arange(40) % 2), file)
    try:
        found = split(samples, val=0.2, test=0.2, seed=0)
    except BadData:
        return
    for one, other in pairs:
        assert found.splits[one] == found.splits[other]


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        ("a.jpeg,t1", "path,group", "line 2: a.jpeg (did you mean a.jpg?)"),
        ("a.jpg,t1\na.jpg,t2", "path,group", "two groups of a.jpg, see line 3"),
        ("a.jpg,t1", "path,groups", "Did you mean 'groups'?"),
        ("a.jpg,t1,t1", "path,group,group", "each once"),
    ],
)
def test_other_tables_are_refused(tmp_path, rows, header, said):
    with pytest.raises(BadData) as refused:
        grouped(table(), written(tmp_path, rows, header))
    assert said in str(refused.value)


def test_a_table_is_a_csv(tmp_path):
    with pytest.raises(BadConfiguration, match=r"ends in \.csv"):
        grouped(table(), tmp_path / "groups.parquet")
