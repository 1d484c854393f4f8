"""Fine-tune pretrained networks on your own labelled images with Keras 3 and TensorFlow."""

from keras_transfer.config.groups import Augment, Head, Split, Stage
from keras_transfer.errors import (
    BadConfiguration,
    BadData,
    BadWeights,
    CheckFailed,
    TransferError,
    UnknownName,
)
from keras_transfer.exports import Export, export
from keras_transfer.runs import Run
from keras_transfer.runs import Run as load
from keras_transfer.studies.series import learning_curve, repeat
from keras_transfer.workflows.finetune import Classify

__version__ = "0.1.0"

__all__ = [
    "Augment",
    "BadConfiguration",
    "BadData",
    "BadWeights",
    "CheckFailed",
    "Classify",
    "Export",
    "Head",
    "Run",
    "Split",
    "Stage",
    "TransferError",
    "UnknownName",
    "export",
    "learning_curve",
    "load",
    "repeat",
]
