"""What lies in a folder."""

import os
from collections import Counter

import pytest

from keras_transfer.data.listing import counted, identity, images_below, list_folder, outline
from keras_transfer.errors import BadData


def test_folders_images_and_others_are_told_apart(tmp_path):
    for name in ("b.jpg", "a.PNG", "note.txt", "README", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.gif").symlink_to("nowhere")

    found = list_folder(str(tmp_path))

    assert found.folders == ["folder.jpg"]
    assert found.images == ["a.PNG", "b.jpg", "link.gif"]
    assert found.ignored.files == {".txt": 1, "": 1}


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
        counted(Counter({".txt": 2, "": 1, ".tif": 1200})) == "1,200 .tif, 2 .txt, 1 without suffix"
    )


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "@__thumb", "_cache", "__MACOSX", "#recycle", "$RECYCLE.BIN", ".thumbnails"],
)
def test_folders_that_programs_make_are_not_listed(name, tmp_path):
    (tmp_path / name / "1.jpg").mkdir(parents=True)
    (tmp_path / "cat" / name).mkdir(parents=True)
    for path in ("cat/1.jpg", f"cat/{name}/1.jpg", f"{name}/1.jpg/SYNOPHOTO_THUMB_M.jpg"):
        (tmp_path / path).touch()

    assert list_folder(str(tmp_path)).folders == ["cat"]
    assert outline(str(tmp_path)) == (["cat"], False)
    assert images_below(str(tmp_path), set())[0] == [f"{tmp_path}/cat/1.jpg"]


def test_folders_that_programs_make_are_counted_in_the_log(tmp_path, caplog):
    for folder in ("a/@eaDir", "b/@eaDir", "b/_cache"):
        (tmp_path / folder).mkdir(parents=True)

    images_below(str(tmp_path), set())[1].warn("photos")

    assert "Ignored folders in photos that programs make" in caplog.text
    assert "2 @eaDir, 1 _cache" in caplog.text


def test_files_are_images_by_what_they_hold(tmp_path):
    """JPEG bytes without suffix or with a strange one; a text that begins like a BMP is none."""
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "photo.jpg?w=300").write_bytes(b"\xff\xd8\xff\xdb")
    (tmp_path / "notes").write_text("BMW and others were photographed by day.")
    (tmp_path / "list.csv").write_text("path,label\n")
    (tmp_path / "link").symlink_to(tmp_path / "photo")
    (tmp_path / "broken link").symlink_to(tmp_path / "nowhere")

    found = list_folder(str(tmp_path))

    assert found.images == ["link", "photo", "photo.jpg?w=300"]
    assert found.ignored.files == {"": 2, ".csv": 1}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.jpg")

    assert list_folder(str(tmp_path)).images == ["pipe.jpg"]  # for the image check to refuse
