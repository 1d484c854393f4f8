"""The plot of a learning curve, with Matplotlib and without."""

import logging
import sys

import pytest
from PIL import Image

from keras_transfer.kinds.series import _write_curve

POINTS = [
    {"pictures": n, "accuracy": one, "low": one - 0.05, "high": one + 0.05}
    for n, one in ((10, 0.6), (20, 0.7), (40, 0.8))
]


@pytest.mark.parametrize("doubling", [{"refused": "few"}, {"law": {"a": 1, "b": 0.5, "c": 0}}])
def test_a_picture_is_drawn(tmp_path, doubling):
    pytest.importorskip("matplotlib")
    _write_curve(tmp_path, {"points": POINTS, "doubling": doubling})
    assert Image.open(tmp_path / "curve.png").size == (720, 480)


def test_without_matplotlib_the_table_is_there_and_the_log_says_what_to_install(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "keras_transfer.evaluation.plots", raising=False)
    logger = logging.getLogger("keras_transfer")
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level(logging.INFO, "keras_transfer"):
        _write_curve(tmp_path, {"points": POINTS, "doubling": {"refused": "few"}})

    assert [path.name for path in tmp_path.iterdir()] == ["curve.csv"]
    assert "keras_transfer[plots]" in caplog.text
