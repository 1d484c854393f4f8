"""Estimators for scikit-learn: features of images, and recipes as classifiers."""

from keras_transfer.workflows.classifiers import ImageClassifier, TextClassifier
from keras_transfer.workflows.feature_transformer import FeatureExtractor

__all__ = ["FeatureExtractor", "ImageClassifier", "TextClassifier"]
