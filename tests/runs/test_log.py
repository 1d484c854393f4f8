"""The log of a run where it cannot be written."""

import logging
from pathlib import Path

import pytest

from keras_transfer.runs.directory import locked_log

FULL = Path("/dev/full")
logger = logging.getLogger("keras_transfer")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_lines_that_a_full_disk_does_not_take_are_left_out(tmp_path, capsys):
    (tmp_path / "log.txt").symlink_to(FULL)
    log = locked_log(tmp_path)
    logger.warning("a line")
    logger.removeHandler(log)
    log.close()

    assert "Traceback" not in capsys.readouterr().err
