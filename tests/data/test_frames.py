"""Data frames as data, against the same rows in a file.

pandas is not part of the extra dev: Keras and scikit-learn import it where it is installed, and
the threads that come with it keep ``warm.py`` from forking. To run these tests: ``pip install
--target DIR pandas``, with DIR in PYTHONPATH.
"""

import io

import numpy as np
import pytest
from processes import paint
from tiny import RECIPE

from keras_transfer import Text
from keras_transfer.data import sources
from keras_transfer.errors import BadConfiguration, BadData

pandas = pytest.importorskip("pandas", reason="pandas is not installed")

TABLE = """path,label,split,group,weight,photographer
images/6.jpg,dog,test,,,Ann
images/2.jpg,cat,,g1,0.5,Bob
images/1.jpg,dog,train,g1,2,Ann
images/4.jpg,cat,validation,g2,0,
images/3.jpg,cat,train,,10,Bob
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A file of the rows in the working directory, with empty images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for number in range(1, 7):
        (tmp_path / f"images/{number}.jpg").touch()
    (tmp_path / "table.csv").write_text(TABLE)
    return "table.csv"


def frame_of(text):
    return pandas.read_csv(io.StringIO(text))


def assert_same(one, other):
    assert one.classes == other.classes
    for name in ("labels", "keys", "splits", "groups", "weights"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


def test_a_frame_is_read_as_the_file(table):
    frame = frame_of(TABLE)
    frame.index = [7, 7, 7, 1, 0]  # does not count

    assert frame["weight"].isna().any()
    assert_same(sources.read(frame), sources.read(table))


def test_categories_paths_and_missing_values(table, tmp_path):
    frame = frame_of(TABLE).convert_dtypes()
    frame["path"] = [tmp_path / path for path in frame["path"]]
    frame["label"] = frame["label"].astype("category")
    frame["pixels"] = [np.zeros((2, 2))] * 5

    read, expected = sources.read(frame), sources.read(table)
    assert read.splits.tolist() == expected.splits.tolist()
    assert read.weights.tolist() == expected.weights.tolist()
    assert read.keys[0] == str(tmp_path / "images/1.jpg")


def test_classes_that_are_numbers_have_no_decimals(table):
    frame = frame_of(TABLE).assign(label=[1.0, 2.0, 1.0, 2.0, 2.0])

    assert sources.read(frame).classes == ("1", "2")


def test_targets_are_columns_of_numbers(table):
    frame = frame_of(TABLE).assign(price=[1.5, 2, np.nan, 4, 5], stars=[1, 2, 3, 4, 5])

    cells = sources.read(frame, columns=["price", "stars"]).cells
    places = [int(key.split("/")[-1][0]) for key in sources.read(frame, columns=["price"]).keys]
    expected = {6: ("1.5", "1"), 2: ("2", "2"), 1: ("", "3"), 4: ("4", "4"), 3: ("5", "5")}
    assert [*zip(cells["price"], cells["stars"], strict=True)] == [expected[n] for n in places]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"columns": {"path": "file"}}, "the data frame should have the columns path and label.*"),
        ({"columns": {"split": "spilt"}}, "the data frame has a column 'spilt', which is not read"),
        ({"columns": {"photographer": "label"}}, "several columns called label"),
    ],
)
def test_columns_are_checked(table, changed, message):
    with pytest.raises(BadData, match=message):
        sources.read(frame_of(TABLE).rename(**changed))


def test_rows_are_checked_and_counted_from_0(table):
    frame = frame_of(TABLE)
    frame.loc[2, "path"] = "images/no.jpg"
    with pytest.raises(BadData, match=r"name no file.*\n.*row 2: 'images/no\.jpg'"):
        sources.read(frame)


def test_texts():
    rows = "text,label,split\na good film,1,train\na bad one,0,train\nwell,1,test\nno,0,val\n"
    samples = sources.read(frame_of(rows), texts=Text().text_columns)

    assert samples.classes == ("0", "1")
    assert samples.store.raw(samples.rows)[0] == "a good film"
    assert samples.keys.tolist()[0] == "the data frame:0"
    with pytest.raises(BadData, match="should have the columns text and label"):
        sources.read(frame_of(rows).rename(columns={"text": "review"}), texts=("text",))


def test_a_run_on_a_frame_is_that_on_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images")
    paths = sorted((tmp_path / "images").glob("*/*"))
    rows = [(str(path), path.parent.name) for path in paths]
    frame = pandas.DataFrame(rows, columns=["path", "label"])
    frame.to_csv("table.csv", index=False)

    run = RECIPE.run(data=frame, name="tiny")
    same = RECIPE.run(data="table.csv", name="tiny")

    assert run.settings["data"]["source"] == "data frame (24, 2)"
    for name in ("split.csv", "predictions.csv", "history.csv"):
        assert (run.folder / name).read_bytes() == (same.folder / name).read_bytes()
    assert run.evaluate(frame)["n"] == 24
    with pytest.raises(BadData, match=r"were a data frame\. Restore them"):
        run.evaluate()


def test_a_setting_is_a_name(table):
    with pytest.raises(BadConfiguration, match=r"is in memory: pass it to run\(data=...\)"):
        RECIPE.changed(data=frame_of(TABLE))
