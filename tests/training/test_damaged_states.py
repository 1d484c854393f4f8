"""Damaged states of training: named, or read as they were written."""

import keras
import numpy as np
import pytest
from damages import DAMAGES

from keras_transfer.errors import BadData
from keras_transfer.training.resume import read_arrays, read_progress, save_state


def read(path):
    """Progress and variables of a state file."""
    return read_progress(path), [array.tolist() for array in read_arrays(path)]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state.npz"
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    save_state(path, model, {"stage": 1, "epoch": 2})
    return path.read_bytes(), read(path), [np.array(weight) for weight in model.get_weights()]


def test_a_state_is_what_was_saved(state):
    _, (progress, arrays), weights = state
    assert progress == {"stage": 1, "epoch": 2}
    assert arrays == [weight.tolist() for weight in weights]


def unharmed(path, content, before):
    """Whether damaged content is read as before; an error has to name the file."""
    path.write_bytes(content)
    try:
        assert read(path) == before
    except BadData as error:
        assert str(path) in str(error)  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named(state, tmp_path, damage):
    content, before, _ = state
    unharmed(tmp_path / "state.npz", DAMAGES[damage](content), before)


def test_no_flipped_bit_changes_a_variable(state, tmp_path):
    content, before, _ = state
    harmless = 0
    for place in range(len(content)):
        damaged = content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]
        harmless += unharmed(tmp_path / "state.npz", damaged, before)
    # Dates, versions and other fields of the archive that say nothing of the arrays.
    assert harmless < 0.5 * len(content)
