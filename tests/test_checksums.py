"""Checksums of a folder: every change is named."""

import hashlib
import json

import pytest

from keras_transfer import checksums
from keras_transfer.errors import BadData


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "one.bin").write_bytes(b"abc")
    (tmp_path / "inner/two.bin").write_bytes(b"")
    return tmp_path


# FIPS 180-2, appendix B.1, and the SHA-256 of nothing.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_each_file_has_its_own(folder):
    assert checksums.files_of(folder) == {"one.bin": ABC, "inner/two.bin": NOTHING}
    assert checksums.files_of(folder, {"one.bin"}) == {"inner/two.bin": NOTHING}


def test_a_document_has_the_same_whatever_its_spaces_and_order():
    wanted = hashlib.sha256('{"a":[1,2.5],"ü":null}'.encode()).hexdigest()

    assert checksums.sha256_of_document({"ü": None, "a": [1, 2.5]}) == wanted


def changed(folder):
    (folder / "one.bin").write_bytes(b"abd")
    return "one.bin"


def missing(folder):
    (folder / "inner/two.bin").unlink()
    return "inner/two.bin"


def added(folder):
    (folder / "inner/three.bin").write_bytes(b"")
    return "inner/three.bin"


@pytest.mark.parametrize("damage", [changed, missing, added])
def test_what_differs_is_named(folder, damage):
    expected = checksums.files_of(folder)
    checksums.verify(folder, expected)
    name = damage(folder)

    with pytest.raises(BadData) as error:
        checksums.verify(folder, expected)

    assert [line.split(": ")[0] for line in error.value.offenders] == [str(folder / name)]


def test_what_is_left_out_is_not_compared(folder):
    expected = checksums.files_of(folder)
    name, other = changed(folder), added(folder)

    checksums.verify(folder, expected, leave_out={name, other})
    checksums.verify(folder, expected, leave_out={name}, extra=False)
    checksums.verify(folder, expected, leave_out={name, "inner"})


def test_hidden_files_may_be_added(folder):
    expected = checksums.files_of(folder)
    (folder / ".DS_Store").write_bytes(b"x")

    checksums.verify(folder, expected)


def test_a_path_out_of_the_folder_is_never_opened(folder):
    (folder.parent / "secret").write_bytes(b"abc")

    with pytest.raises(BadData, match="secret: is missing"):
        checksums.verify(folder, {"../secret": ABC}, extra=False)


def test_a_document_knows_that_it_has_changed(tmp_path):
    file = tmp_path / "about.json"
    document = checksums.sealed({"name": "cat", 1: (2.5, None)}, file.name, {"one.bin": ABC})
    document = json.loads(json.dumps(document, indent=3))

    assert checksums.check_document(file, document) == {"one.bin": ABC}
    assert checksums.check_document(file, {"name": "cat"}) is None
    changes = [{"name": "car"}, {"checksums": {**document["checksums"], "one.bin": NOTHING}}]
    for change in [*changes, {"checksums": {}}, {"checksums": 5}, {"more": 1}]:
        with pytest.raises(BadData, match=r"about\.json has changed"):
            checksums.check_document(file, document | change)
