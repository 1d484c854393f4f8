"""The run folder: writing and reading its files."""

from keras_transfer.runs.directory import (
    finished,
    has_interrupted,
    interrupted,
    is_done,
    new_folder,
    recording,
)
from keras_transfer.runs.prediction import Prediction
from keras_transfer.runs.predictor import Predictor
from keras_transfer.runs.records import replace_settings, stored_settings
from keras_transfer.runs.run import Run
from keras_transfer.runs.split_table import (
    RELABEL,
    digests_by_path,
    fingerprint,
    keep_table,
    write_bad_files,
    write_split,
)

__all__ = [
    "RELABEL",
    "Prediction",
    "Predictor",
    "Run",
    "digests_by_path",
    "fingerprint",
    "finished",
    "has_interrupted",
    "interrupted",
    "is_done",
    "keep_table",
    "new_folder",
    "recording",
    "replace_settings",
    "stored_settings",
    "write_bad_files",
    "write_split",
]
