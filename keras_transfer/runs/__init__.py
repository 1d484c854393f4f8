"""The run folder: what is written where, and reading it back."""

from keras_transfer.runs.directory import (
    digests_by_path,
    fingerprint,
    finished,
    has_interrupted,
    interrupted,
    is_done,
    new_folder,
    recording,
    stored_settings,
    write_bad_files,
    write_json,
    write_split,
)
from keras_transfer.runs.predictor import Prediction, Predictor
from keras_transfer.runs.run import Run

__all__ = [
    "Prediction",
    "Predictor",
    "Run",
    "digests_by_path",
    "fingerprint",
    "finished",
    "has_interrupted",
    "interrupted",
    "is_done",
    "new_folder",
    "recording",
    "stored_settings",
    "write_bad_files",
    "write_json",
    "write_split",
]
