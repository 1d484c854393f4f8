"""Runs with mixed images go on as if never stopped."""

import keras
import numpy as np
import pytest
import tiny
from processes import paint

from keras_transfer.training import trainer

RECIPE = tiny.RECIPE.changed(
    batch_size=8,
    epochs=3,
    label_smoothing=0.1,
    class_weight={"blue": 1, "red": 2},
)
EVERYTHING = {"cutmix": 1, "augment": {"randaugment": 0.3, "horizontal_flip": True}}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        pytest.param({}, 12, id="mixup"),
        pytest.param(EVERYTHING, 0, id="all", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_ends_as_if_never_stopped(tmp_path, monkeypatch, settings, kept):
    """With stored features of the 12 images, and with the frozen part in every epoch."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images")
    recipe = RECIPE.changed(mixup=0.4, mixup_off_epoch=2, **settings)
    whole = recipe.run(out="whole", name="tiny")

    class Stop(trainer.Progress):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt
            super().on_epoch_begin(epoch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "Progress", Stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out="stopped", name="tiny")
    again = recipe.run(out="stopped", name="tiny", resume=True)

    assert len(whole.history) == 3
    assert again.history == whole.history
    for one, other in zip(
        *(
            keras.models.load_model(f"{name}/last.keras").get_weights()
            for name in ("whole", "stopped")
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    # Those of val and test, 6 each, are kept in any case.
    assert whole.metadata["features"]["head"]["computed"] == 12 + kept
