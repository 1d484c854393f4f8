"""Frozen features as a transformer of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from keras_transfer import quiet
from keras_transfer.config.groups import Data
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.workflows.finetune import Classify
from keras_transfer.workflows.frozen_features import (
    MAPS,
    build_cut,
    build_extractor,
    check_settings,
)
from keras_transfer.workflows.pretrained import resolve_weights
from keras_transfer.workflows.reading import read_unlabelled

__all__ = ["FeatureExtractor"]


class FeatureExtractor(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Images to features of a pretrained network, which ``fit`` does not change.

    Features go through the engine and its cache, as those of recipes do: cross-validation computes
    each image once. The network is built when it is first needed, and is not pickled.

    Args:
        backbone: Name of the network, or FILE.keras.
        weights: "imagenet", a file, ``preset:DIR`` or ``run:DIR``; "file" for those of FILE.keras.
        layer: A block or layer behind which features are taken; None: the output of the network.
        pooling: "avg", "max", "avgmax", "flatten" or "token".
        image_size: Side of the images in pixels; None: the network's own.
        resize: "stretch", "crop" or "pad".
        batch_size: Images that are read together.
        variant: Options of the network, e.g. ``{"alpha": 0.35}``.
        preprocessing: Of a FILE.keras.
        engine: "auto", "keras" or "openvino".
        engine_error: Largest relative error of features; 0 allows float32 only.
        cache: Whether features are kept for later.
    """

    def __init__(  # noqa: PLR0913
        self,
        backbone: str = "mobilenet_v2",
        weights: str = "imagenet",
        layer: str | None = None,
        pooling: str = "avg",
        image_size: int | None = None,
        resize: str = "stretch",
        batch_size: int = 32,
        variant: Mapping[str, Any] | None = None,
        preprocessing: str | None = None,
        engine: str = "auto",
        engine_error: float = 0.05,
        cache: bool = True,
    ):
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.pooling = pooling
        self.image_size = image_size
        self.resize = resize
        self.batch_size = batch_size
        self.variant = variant
        self.preprocessing = preprocessing
        self.engine = engine
        self.engine_error = engine_error
        self.cache = cache

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Check the parameters; nothing is learnt.

        Args:
            X: Ignored.
            y: Ignored.

        Raises:
            BadConfiguration: A parameter that is not allowed.
        """
        self._recipe()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute features, or find them in the cache.

        Args:
            X: (n,) paths of image files, or (n, height, width, 3) uint8 RGB, or a list of images
                as ``Run.predict`` takes them.

        Returns:
            (n, channels) float32.

        Raises:
            BadData: An image cannot be used.
            BadConfiguration: A parameter that is not allowed.
            BadWeights: The weights are not there, or do not fit.
        """
        from keras_transfer.workflows.extractors import all_rows

        recipe = self._recipe()
        images = X if getattr(X, "ndim", 1) == 4 else list(X)
        samples = read_unlabelled(Data(source="images"), images, recipe.input)
        if len(samples) != len(images):
            raise BadData(
                f"{len(images)} examples hold {len(samples)} images. Name files, not folders or "
                "patterns: each example has a row of features."
            )
        cut = self._cut(recipe)
        if "extractor" not in self._built:
            self._built["extractor"] = build_extractor(recipe, cut, samples)
        extractor = self._built["extractor"]
        values = all_rows(extractor.table(samples))
        extractor.held.clear()  # else they would stay in memory as long as this object
        return values

    @property
    def _n_features_out(self) -> int:
        """Number of features, for ``get_feature_names_out``."""
        return self._cut(self._recipe()).frozen.output_shape[-1]

    def _recipe(self) -> Classify:
        """The parameters as a recipe, which checks them."""
        if self.pooling == MAPS:
            raise BadConfiguration(
                "pooling = none gives maps, and a transformer vectors. Use pooling = flatten."
            )
        if self.weights == "none":
            raise BadConfiguration(
                "weights = none: each copy of this transformer would have other random weights. "
                "Save those of a network to a file, and name the file."
            )
        names = ("layer", "variant", *(() if self.image_size else ("image_size",)))
        settings = {name: value for name, value in self.get_params().items() if name not in names}
        settings["variant"] = dict(self.variant or {})
        recipe = Classify(data="images", **settings)
        check_settings(recipe)
        return recipe

    def _cut(self, recipe: Classify) -> Any:
        """The network up to the features, built once for each set of parameters."""
        asked = repr(self.get_params())
        if self.__dict__.get("_built", {}).get("asked") != asked:
            quiet.import_tensorflow()
            weights = resolve_weights(self.weights)
            cut = build_cut(recipe, weights, self.pooling, self.layer)
            self._built: dict[str, Any] = {"asked": asked, "cut": cut}
        return self._built["cut"]

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone."""
        return {name: value for name, value in super().__getstate__().items() if name != "_built"}

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may know: images or paths in, no fitting needed."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Nothing is learnt, so it always is."""
        return True
