"""What lies in a folder."""

from collections import Counter

import pytest

from keras_transfer.data.listing import counted, identity, images_below, list_folder
from keras_transfer.errors import BadData


def test_folders_images_and_others_are_told_apart(tmp_path):
    for name in ("b.jpg", "a.PNG", "note.txt", "README", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.gif").symlink_to("nowhere")

    found = list_folder(str(tmp_path))

    assert found.folders == ["folder.jpg"]
    assert found.images == ["a.PNG", "b.jpg", "link.gif"]
    assert found.others == {".txt": 1, "": 1}


def test_folders_that_were_seen_are_not_gone_into(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()

    paths, _ = images_below(str(tmp_path), {identity(str(tmp_path / "a"))})

    assert paths == [f"{tmp_path}/b/1.jpg"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(BadData, match="gone cannot be listed"):
        list_folder(str(tmp_path / "gone"))


def test_counts_are_said_from_the_most_to_the_least():
    assert (
        counted(Counter({".txt": 2, "": 1, ".tif": 1200})) == "1,200 .tif, 2 .txt, 1 without ending"
    )
