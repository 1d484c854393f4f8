"""A clock that is not set is found before a run trains for hours and cannot be saved."""

import struct
import time
import zipfile

import pytest

from keras_transfer.clock import check_clock
from keras_transfer.errors import BadConfiguration
from keras_transfer.runs.directory import new_folder, recording

YEAR = 365.25 * 24 * 3600


def archive(path):
    """Write as Keras does."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.weights.h5", b"1")


@pytest.mark.parametrize("year", [1970.5, 1979.5, 1980.5, 2026.5, 2107.5, 2108.5, 2300.5])
def test_it_is_refused_when_zip_archives_cannot_be_written(tmp_path, monkeypatch, year):
    monkeypatch.setattr(time, "time", lambda: (year - 1970) * YEAR)
    try:
        archive(tmp_path / "archive")
    except (ValueError, OverflowError, struct.error):
        with pytest.raises(BadConfiguration, match=f"The system clock says {int(year)}-.*Set the"):
            check_clock()
    else:
        check_clock()


def test_no_run_begins_or_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    with pytest.raises(BadConfiguration, match="clock"):
        new_folder("tiny", tmp_path / "run")
    with (
        pytest.raises(BadConfiguration, match="clock"),
        recording(tmp_path / "run", "tiny", "FineTune", {}),
    ):
        pass
    assert not (tmp_path / "run").exists()
