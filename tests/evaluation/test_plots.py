"""The plots, with Matplotlib and without."""

import logging
import sys

import numpy as np
import pytest
from PIL import Image

from keras_transfer.evaluation.plots import plot_sweep, plot_trials
from keras_transfer.studies.curves import _write_curve

POINTS = [
    {"examples": n, "accuracy": one, "accuracy_interval": [one - 0.05, one + 0.05], "macro_f1": one}
    for n, one in ((10, 0.6), (20, 0.7), (40, 0.8))
]


@pytest.mark.parametrize("doubling", [{"refused": "few"}, {"law": {"a": 1, "b": 0.5, "c": 0}}])
def test_an_image_is_drawn(tmp_path, doubling):
    pytest.importorskip("matplotlib")
    found = {"points": POINTS, "baselines": {"majority": {"accuracy": 0.5}}, "doubling": doubling}
    _write_curve(tmp_path, "curve", found)
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
        _write_curve(tmp_path, "curve", {"points": POINTS, "doubling": {"refused": "few"}})

    assert [path.name for path in tmp_path.iterdir()] == ["curve.csv"]
    assert "keras_transfer[plots]" in caplog.text


def test_a_sweep_and_trials_are_drawn(tmp_path):
    losses = [1.0] * 12 + [0.5, 0.2, 9.0]
    rates = np.geomspace(1e-7, 10, 15).tolist()
    plot_sweep(tmp_path / "sweep.png", rates, losses, np.array(losses), {"steepest": 1e-3})
    plot_trials(
        tmp_path / "trials.png",
        [[0.5, 0.4], [0.9], []],
        {"lr": [0.1, 0.01, 0.001], "head.units": [[], [64], []]},
        [0.4, 0.9, float("nan")],
        monitor="val_loss",
        logarithmic=["lr"],
    )
    for name in ("sweep.png", "trials.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
