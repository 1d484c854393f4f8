"""Fine-tune pretrained networks on your own labelled data with Keras 3 and TensorFlow."""

import typing

from keras_transfer.config.groups import Backbone, Batches, Data, Head, Learner, Runtime, Split
from keras_transfer.config.stages import Average, Optimizer, Stage, Tuning
from keras_transfer.errors import (
    BadConfiguration,
    BadData,
    BadWeights,
    CheckFailed,
    TransferError,
    UnknownName,
)
from keras_transfer.exports import Export, export
from keras_transfer.inputs.image import Augment, Image
from keras_transfer.inputs.text import Text
from keras_transfer.inputs.text_pair import TextPair
from keras_transfer.methods.adversarial import CDAN, DANN, AdversarialAutoencoder
from keras_transfer.methods.bagging import Bagging
from keras_transfer.methods.distill import Distill
from keras_transfer.methods.feature_adaptation import (
    CORAL,
    JDA,
    KLIEP,
    KMM,
    TCA,
    DomainStandardization,
    SubspaceAlignment,
)
from keras_transfer.methods.masked_lm import MaskedLM
from keras_transfer.methods.matching import DAN, JAN, DeepCORAL
from keras_transfer.methods.self_training import MCC, EntropyMinimization, PseudoLabels
from keras_transfer.methods.setfit import SetFit
from keras_transfer.methods.supervised import Supervised
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.operating import Threshold
from keras_transfer.objectives.regression import Regression
from keras_transfer.objectives.rejection import Reject
from keras_transfer.runs import Run
from keras_transfer.runs import Run as load
from keras_transfer.studies.curves import learning_curve
from keras_transfer.studies.series import repeat
from keras_transfer.workflows.feature_extraction import FeatureExtraction
from keras_transfer.workflows.feature_files import Features
from keras_transfer.workflows.finetune import Classify, FineTune
from keras_transfer.workflows.pretrain import Pretrain

if typing.TYPE_CHECKING:
    from keras_transfer.workflows.feature_transformer import FeatureExtractor

__version__ = "0.1.0"

__all__ = [
    "CDAN",
    "CORAL",
    "DAN",
    "DANN",
    "JAN",
    "JDA",
    "KLIEP",
    "KMM",
    "MCC",
    "TCA",
    "AdversarialAutoencoder",
    "Augment",
    "Average",
    "Backbone",
    "BadConfiguration",
    "BadData",
    "BadWeights",
    "Bagging",
    "Batches",
    "CheckFailed",
    "Classification",
    "Classify",
    "Data",
    "DeepCORAL",
    "Distill",
    "DomainStandardization",
    "EntropyMinimization",
    "Export",
    "FeatureExtraction",
    "FeatureExtractor",
    "Features",
    "FineTune",
    "Head",
    "Image",
    "Learner",
    "MaskedLM",
    "MultiLabel",
    "Optimizer",
    "Pretrain",
    "PseudoLabels",
    "Regression",
    "Reject",
    "Run",
    "Runtime",
    "SetFit",
    "Split",
    "Stage",
    "SubspaceAlignment",
    "Supervised",
    "Text",
    "TextPair",
    "Threshold",
    "TransferError",
    "Tuning",
    "UnknownName",
    "export",
    "learning_curve",
    "load",
    "repeat",
]


def __getattr__(name: str) -> typing.Any:
    """Import what needs scikit-learn when it is first used."""
    if name != "FeatureExtractor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from keras_transfer.workflows.feature_transformer import FeatureExtractor

    globals()[name] = FeatureExtractor
    return FeatureExtractor
