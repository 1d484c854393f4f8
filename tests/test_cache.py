"""Where things are cached."""

from pathlib import Path

import pytest

from keras_transfer.cache import cache_dir


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        ("/own", "/shared", "/own"),
        (None, "/shared", "/shared/keras_transfer"),
        (None, None, "/home/me/.cache/keras_transfer"),
        ("", "", "/home/me/.cache/keras_transfer"),
        ("~/mine", None, "/home/me/mine"),
    ],
)
def test_our_variable_goes_before_the_common_one_and_that_before_home(
    own, shared, expected, monkeypatch
):
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in {"KT_CACHE_DIR": own, "XDG_CACHE_HOME": shared}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    assert cache_dir() == Path(expected)
