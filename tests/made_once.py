"""Fixtures that both test workers share: what one of them has trained, the other one reads."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

import keras_transfer

__all__ = ["export_once", "made_once", "run_once"]


def made_once(factory, name, make):
    """The folder that ``make(folder)`` has filled, in whichever worker asked first.

    What it made is read by several processes at a time: a test that changes it takes a copy.

    A name is made once in a session of tests; ``factory`` is pytest's ``tmp_path_factory``.
    """
    home = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each has a folder in that of the session
        home = home.parent
    folder, done = Path(home, name), Path(home, f"{name}.done")
    with Path(home, f"{name}.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            patch.setenv("KT_CACHE_DIR", str(folder / "cache"))
            make(folder)
            done.touch()
    return folder


def run_once(factory, name, train):
    """The run in the folder ``name`` of the folder that ``train`` is given."""
    return keras_transfer.load(made_once(factory, f"{name}_run", train) / name)


def export_once(factory, run, name, **settings):
    """The export of a run, by arguments of ``keras_transfer.export``."""

    def write(folder):
        keras_transfer.export(run, folder, **settings)

    (version,) = made_once(factory, name, write).glob("*/1")
    return keras_transfer.Export(version)
