"""Exports that are not what was written: every damage is named, and none changes an answer."""

import json
import shutil

import numpy as np
import pytest
from foreign_exports import reseal

import keras_transfer
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.serving.models import Model


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved.folder, tmp_path / "1", ignore=shutil.ignore_patterns("evaluations"))
    return tmp_path / "1"


def names_in(folder):
    """All files but the model card, which may be edited."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "README.md")
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def test_each_file_has_a_checksum(folder):
    listed = json.loads((folder / "export.json").read_text())["checksums"]

    assert sorted(listed) == names_in(folder)


def test_one_flipped_bit_in_any_file_is_noticed(folder, odd):
    rng = np.random.default_rng(0)
    for name in names_in(folder):
        content = (folder / name).read_bytes()
        for place in rng.integers(len(content), size=5):
            (folder / name).write_bytes(flipped(content, place))
            with pytest.raises(BadData, match=name):
                keras_transfer.Export(folder).predict(odd[0])
        (folder / name).write_bytes(content)


def test_the_model_card_may_be_edited(folder, odd):
    (folder / "README.md").write_text("Intended use: sorting.")

    assert keras_transfer.Export(folder).predict(odd[0])


def test_a_server_notices_it_too(folder):
    file = folder / "variables" / "variables.data-00000-of-00001"
    file.write_bytes(flipped(file.read_bytes(), 1000))

    with pytest.raises(BadData, match=r"data-00000-of-00001: has changed"):
        Model("m", 1, folder)


@pytest.mark.parametrize("name", ["assets/classes.json", "variables/variables.index"])
def test_a_missing_file_is_named(folder, odd, name):
    (folder / name).unlink()

    with pytest.raises(BadData, match=f"{name}: is missing"):
        keras_transfer.Export(folder).predict(odd[0])


def test_an_added_file_is_named(folder, odd):
    (folder / "assets" / "more.txt").write_text("x")

    with pytest.raises(BadData, match=r"more\.txt: does not belong here"):
        keras_transfer.Export(folder).predict(odd[0])


def test_what_evaluate_adds_belongs_there(folder):
    (folder / "evaluations" / "1").mkdir(parents=True)
    (folder / "evaluations" / "1" / "metrics.json").write_text("{}")

    assert keras_transfer.Export(folder).loading.batch_size == 32


def test_every_flipped_bit_of_the_metadata_is_noticed(folder):
    """Such as one in the name of a class, which would be answered. Spaces do not count."""
    file = folder / "export.json"
    content, whole = file.read_bytes(), keras_transfer.Export(folder).metadata
    same = 0
    for place in range(0, len(content), 29):
        file.write_bytes(flipped(content, place))
        try:
            assert keras_transfer.Export(folder).metadata == whole
            same += 1
        except BadData as error:
            assert str(file) in str(error)  # noqa: PT017
    assert same < len(content) / 29 / 2


def without(*names, **changes):
    def change(metadata):
        kept = {name: value for name, value in metadata.items() if name not in names}
        return json.dumps(kept | changes)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: "",
        lambda metadata: "[" * 100_000,
        lambda metadata: "[]",
        lambda metadata: json.dumps(metadata)[:-1],
        without("format"),
        without(format="saved_modle"),
        without("settings"),
        without("outputs", "classes"),
        without("outputs", classes="red"),
        without(outputs={"label": {"names": ["red"]}}),
        without(settings={"version": 2, "input": {"type": "smell"}}),
        without(image_size="16"),
    ],
)
def test_metadata_without_checksums_must_fit_its_schema(folder, change):
    """Exports that were written before there were checksums have none."""
    file = folder / "export.json"
    metadata = json.loads(file.read_text())
    del metadata["checksums"]
    file.write_text(change(metadata))

    with pytest.raises(BadData, match=r"export\.json cannot be read"):
        keras_transfer.Export(folder)


def test_a_later_version_is_no_damage(folder):
    settings = json.loads((folder / "export.json").read_text())["settings"]
    reseal(folder, settings={**settings, "version": 9})

    with pytest.raises(BadConfiguration, match="Upgrade"):
        keras_transfer.Export(folder)


def test_an_export_without_checksums_is_loaded_with_one_warning(folder, odd, caplog):
    file = folder / "export.json"
    metadata = json.loads(file.read_text())
    del metadata["checksums"]
    file.write_text(json.dumps(metadata))

    export = keras_transfer.Export(folder)
    assert [one.error for one in [*export.predict(odd[0]), *export.predict(odd[1])]] == ["", ""]

    assert caplog.text.count("has no checksums") == 1
