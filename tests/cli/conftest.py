"""What the tests of the command line share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """One cache for all of them: the choice of engine is made by timing, once.

    Another choice may round otherwise. A test of the cache itself names one of its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
