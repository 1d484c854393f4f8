"""The run folder: what is written where, and reading it back."""

from keras_transfer.runs.folder import (
    fingerprint,
    finished,
    has_interrupted,
    interrupted,
    is_done,
    new_folder,
    recording,
    stored_knobs,
    write_bad_files,
    write_json,
    write_split,
)
from keras_transfer.runs.run import Prediction, Run

__all__ = [
    "Prediction",
    "Run",
    "fingerprint",
    "finished",
    "has_interrupted",
    "interrupted",
    "is_done",
    "new_folder",
    "recording",
    "stored_knobs",
    "write_bad_files",
    "write_json",
    "write_split",
]
