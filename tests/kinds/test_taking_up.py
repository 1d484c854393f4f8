"""Runs that were stopped after the last stage, before their figures were written."""

import keras
import numpy as np
import pytest
from processes import paint

from keras_transfer import Classify, Head, Split, Stage
from keras_transfer.evaluation import predictions


@pytest.mark.parametrize(
    "more", [(), pytest.param((Stage("all", epochs=1, unfreeze="all"),), marks=pytest.mark.slow)]
)
def test_the_figures_are_those_of_the_trained_model(tmp_path, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "pictures")
    recipe = Classify(
        data="pictures",
        backbone="convnet_small",
        weights="none",
        image_size=16,
        batch_size=4,
        split=Split(val=0.25, test=0.25),
        head=Head(dropout=0.2),
        stages=(Stage("head", epochs=2, learning_rate=0.1), *more),
        engine="keras",
    )
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
