"""Runs that were stopped after the last stage, before their metrics were written."""

import keras
import numpy as np
import pytest
from processes import paint
from tiny import RECIPE

from keras_transfer.evaluation import predictions


@pytest.mark.parametrize(
    "more",
    [(), pytest.param(({"name": "all", "epochs": 1, "unfreeze": "all"},), marks=pytest.mark.slow)],
)
def test_the_metrics_are_those_of_the_trained_model(tmp_path, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images")
    recipe = RECIPE.changed(stages=[{"name": "head", "epochs": 2, "learning_rate": 0.1}, *more])
    whole = recipe.run(out="whole", name="tiny")

    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(predictions, "write_predictions", stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out="stopped", name="tiny")
    again = recipe.run(out="stopped", name="tiny", resume=True)

    assert again.metrics == whole.metrics
    for one, other in zip(
        *(
            keras.models.load_model(run.folder / "best.keras").get_weights()
            for run in (whole, again)
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
