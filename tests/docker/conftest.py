"""A folder with pictures and a recipe to run on them."""

import pytest
from processes import TINY, paint


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    paint(folder / "pictures")
    (folder / "tiny.py").write_text(TINY)
    return folder
