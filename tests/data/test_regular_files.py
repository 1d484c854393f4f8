"""Tables, arrays and folders read regular files only: pipes would be waited for for ever."""

import os

import pytest

from keras_transfer.data.listing import list_folder
from keras_transfer.data.mat import read_mat
from keras_transfer.data.npz import read_npz
from keras_transfer.data.regular_files import opened, regular
from keras_transfer.data.sources import read
from keras_transfer.data.table_files import read_table
from keras_transfer.data.texts import holds_texts, read_columns, read_texts
from keras_transfer.errors import BadData
from keras_transfer.inputs.texts.vocabulary import Vocabulary


def read_rows(path):
    return read_table(path, lambda file, names: None)


@pytest.mark.parametrize(
    ("act", "ending"),
    [
        (read_rows, ".csv"),
        (read_rows, ".parquet"),
        (read, ".csv"),
        (read_texts, ".tsv"),
        (read_columns, ".csv"),
        (holds_texts, ".csv"),
        (read_npz, ".npz"),
        (read_mat, ".mat"),
        (Vocabulary.read, ".txt"),
    ],
)
def test_a_pipe_is_an_error_that_names_it(act, ending, tmp_path):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"data{ending}"
    os.mkfifo(path)

    with pytest.raises(BadData, match=rf"data{ending} cannot be read \(it is a named pipe, not a"):
        act(path)


@pytest.mark.parametrize("name", ["/proc/self/environ", "/proc/kmsg"])
def test_files_of_the_kernel_have_no_content(name):
    if not os.access(name, os.R_OK):
        pytest.skip(f"{name} may not be read")

    with opened(name) as file:
        assert file.read() == b""
    with open(name, "rb", buffering=0, opener=regular) as file:
        assert file.read(9) == b""


def test_a_folder_with_a_kernel_file_and_a_pipe_is_listed(tmp_path):
    (tmp_path / "messages").symlink_to("/proc/kmsg")
    os.mkfifo(tmp_path / "pipe")

    listing = list_folder(str(tmp_path))

    assert listing.images == []
    assert listing.ignored.files[""] == 2


def test_links_to_files_are_read(tmp_path):
    (tmp_path / "there").write_text("word")
    (tmp_path / "here").symlink_to("there")

    with opened(tmp_path / "here", "r", encoding="utf-8") as file:
        assert file.read() == "word"
