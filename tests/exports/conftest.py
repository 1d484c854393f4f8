"""What the tests of exports share."""

import json

import pytest

from keras_transfer.exports import integrity


@pytest.fixture(scope="session")
def reseal():
    """A function that gives a changed export new checksums, as whoever changes it can."""

    def reseal(folder, **changes):
        file = folder / "export.json"
        metadata = json.loads(file.read_text(encoding="utf-8")) | changes
        metadata.pop("checksums", None)
        file.write_text(json.dumps(integrity.with_checksums(metadata, folder)), encoding="utf-8")

    return reseal
