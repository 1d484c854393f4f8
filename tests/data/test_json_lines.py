"""Tables in JSON lines and Parquet say the same as one in CSV."""

import csv
import json

import numpy as np
import pytest
from processes import paint

from keras_transfer.data.json_lines import first_names, read_objects
from keras_transfer.data.manifests import read_manifest
from keras_transfer.data.texts import has_labels, holds_texts, read_columns, read_texts
from keras_transfer.errors import BadData

ROWS = [
    {"text": "a film, to see", "label": "good", "split": "train", "stars": 5, "tags": "x|y"},
    {"text": 'dull\nand "slow"', "label": "bad", "split": "train", "stars": None, "tags": "y"},
    {"text": "schön \u2028 und kühl", "label": "good", "split": "test", "stars": 4, "tags": ""},
    {"text": "01", "label": "bad", "split": "val", "stars": 0.5, "tags": "x"},
]


def write(folder, ending, rows=ROWS):
    file = folder / f"reviews{ending}"
    if ending == ".csv":
        with file.open("w", newline="", encoding="utf-8") as table:
            writer = csv.DictWriter(table, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif ending == ".jsonl":
        lines = [
            json.dumps({k: v.split("|") if k == "tags" and v else v for k, v in row.items()})
            for row in rows
        ]
        file.write_text("\ufeff" + "\n\n".join(lines) + "\n", "utf-8")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns["tags"] = [tags.split("|") if tags else [] for tags in columns["tags"]]
        parquet.write_table(pyarrow.table(columns), file)
    return file


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("cells", [(), ("stars", "tags")])
def test_texts_are_those_of_the_csv(tmp_path, ending, cells):
    wanted = read_texts(write(tmp_path, ".csv"), cells=cells)
    file = write(tmp_path, ending)
    found = read_texts(file, cells=cells)

    assert holds_texts(file)
    assert has_labels(file)
    assert not has_labels(file, label="kind")
    assert found.classes == wanted.classes
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_array_equal(found.splits, wanted.splits)
    assert found.store.raw(np.arange(4)) == wanted.store.raw(np.arange(4))
    for name in cells:
        assert [*found.cells[name]] == [*wanted.cells[name]]
    assert [*read_columns(file)[1]] == [row["text"] for row in ROWS]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_numbers_of_images_are_read(tmp_path, ending):
    """Targets of a regression are numbers in these files, not text."""
    paint(tmp_path, blue=2, red=1)
    names = ["blue/0.png", "blue/1.png", "red/0.png"]
    values = [1.5, None, 2.0]
    rows = [{"path": n, "price": v, "tags": ""} for n, v in zip(names, values, strict=True)]
    found = read_manifest(write(tmp_path, ending, rows), cells=("price",))
    by_name = {
        key.split("/", -1)[-2] + "/" + key.split("/")[-1]: n for n, key in enumerate(found.keys)
    }
    assert [found.cells["price"][by_name[name]] for name in names] == ["1.5", "", "2"]


def test_lines_have_their_numbers_and_members_may_be_missing(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"Text": "a", "label": 1}\n\n{"text": "b", "split": "test"}\n')
    columns, numbers = read_objects(file)
    assert columns == {"text": ["a", "b"], "label": [1, None], "split": [None, "test"]}
    assert numbers == [1, 3]
    assert [*first_names(file)] == ["text", "label"]
    with pytest.raises(BadData, match="have no label") as caught:
        read_texts(file)
    assert "line 3" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{'text': 1}", "line 2: Expecting property name"),
        ("[1, 2]", r"line 2: \[1, 2\] is no object"),
        ('{"text": NaN}', "line 2: NaN is no JSON"),
        ('{"text": "a", "TEXT": "b"}', "line 2: 'text' is there twice"),
    ],
)
def test_lines_that_are_no_objects_are_listed(tmp_path, line, said):
    file = tmp_path / "a.jsonl"
    file.write_text(f'{{"text": "a", "label": "x"}}\n{line}\n')
    with pytest.raises(BadData, match=said):
        read_texts(file)


def test_an_empty_file_is_refused(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("\n")
    assert not holds_texts(file)
    with pytest.raises(BadData, match="should have the columns text and label"):
        read_texts(file)


def test_a_list_is_no_single_label(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a", "label": ["x", "y"]}\n{"text": "b", "label": "y"}\n')
    with pytest.raises(BadData, match="hold a list as label"):
        read_texts(file)
