"""The run folder: what is written where, and reading it back."""

from keras_transfer.runs.classifier import Classifier, Prediction
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
from keras_transfer.runs.run import Run

__all__ = [
    "Classifier",
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
