"""Fixtures that more than one folder of tests uses."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("KT_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Nothing that a test does touches the user's own cache folder."""
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"{path} is not on this machine (KT_SHARED names the folder that holds it)")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real pictures beside the checkout."""
    return _folder(SHARED / "data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder of real ImageNet weights beside the checkout."""
    return _folder(SHARED / "weights")
