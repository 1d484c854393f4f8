"""What a recipe does about classes of different size, put together for the stages."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.data.balance import WEIGHTINGS, choose_strategy, class_weights, weight_table
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import SAMPLINGS, Bootstrap, Sampling
from keras_transfer.errors import BadConfiguration

if TYPE_CHECKING:
    from keras_transfer.workflows.finetune import Classify

__all__ = ["ImbalanceStrategy", "check_imbalance"]

logger = logging.getLogger("keras_transfer")

FOCUSING = 2.0
"""Gamma of the focal loss: that of its authors, and of Keras."""


class ImbalanceStrategy:
    """The remedy for imbalance, by the counts of the train split alone.

    Attributes:
        name: The remedy, "auto" settled.
        weights: (classes,) float32, of an image by its class.
        sampling: What an epoch draws; None: every image once.
        focal_gamma: Gamma of the focal loss; 0: cross-entropy.
        length: Images an epoch.
        drawn: Places in the train split of what counts as it; None: all, once each.
    """

    drawn: np.ndarray | None = None

    def __init__(self, recipe: Classify, train: Samples):
        counts = train.counts()
        own, asked = recipe.class_weight, recipe.imbalance
        self.name, self._why = choose_strategy("none" if own and asked == "auto" else asked, counts)
        if own and asked == "auto":
            self._why = "weights as given"
        weighting = self.name if self.name in WEIGHTINGS else "none"
        self.weights = class_weights(own or weighting, train.classes, counts)
        drawing = self.name in SAMPLINGS
        self.sampling = Sampling(self.name, train.labels, train.classes) if drawing else None
        self.focal_gamma = FOCUSING if self.name == "focal" else 0.0
        self.length = len(train if self.sampling is None else self.sampling)
        if self.name == "smote":
            self.length = int(counts.max()) * len(counts)
        self.seed = seeds.stream(recipe.seed, "shuffle")

    def report(self, train: Samples) -> None:
        """Log the remedy, its reason, an epoch's length, and counts and weights by class."""
        metadata = (self.name, self._why, self.length)
        logger.info("Imbalance: %s (%s); an epoch has %s images", *metadata)
        logger.info("%s", weight_table(train.classes, train.counts(), self.weights))

    def of(self, drawn: np.ndarray, seed: int) -> ImbalanceStrategy:
        """The same remedy on a bootstrap draw of the train split, whose classes are as large.

        Args:
            drawn: As ``bootstrap`` gives it.
            seed: Of what is drawn further.
        """
        other = copy.copy(self)
        other.drawn, other.seed = drawn, seeds.stream(seed, "shuffle")
        if self.name != "smote":
            other.sampling = Bootstrap(drawn, self.sampling)
        return other

    @property
    def rounds(self) -> int:
        """How often an epoch draws an image at most."""
        return 1 if self.sampling is None else self.sampling.rounds

    @property
    def resample(self) -> Callable[..., Any] | None:
        """What makes new features, as ``feed_features`` takes it."""
        if self.name != "smote":
            return None
        from keras_transfer.features.smote import smote

        drawn = self.drawn
        if drawn is None:
            return partial(smote, seed=self.seed)
        return lambda table, train: smote(table.rows(drawn), train.take(drawn), self.seed)


def check_imbalance(recipe: Classify) -> None:
    """Refuse what cannot be done together, before anything is read.

    Raises:
        BadConfiguration: Says which two settings, and why.
    """
    if recipe.class_weight and recipe.imbalance in ("class_weight", "effective_number"):
        raise BadConfiguration(
            f"class_weight gives the weights, and imbalance = {recipe.imbalance} would work them "
            "out. Leave one of them out."
        )
    own = recipe.class_weight
    if isinstance(own, dict) and not any(own.values()):
        raise BadConfiguration("class_weight has no weight above 0, so nothing would be learnt.")
    if recipe.imbalance == "smote":
        _check_smote(recipe)


def _check_smote(recipe: Classify) -> None:
    why = (
        "Between the pixels of two images lies no image, so smote works on the stored "
        "features of a frozen backbone alone. "
    )
    if recipe.engine == "none":
        raise BadConfiguration(f"{why}With engine = none there are none: leave that out.")
    for number, stage in enumerate(recipe.planned):
        if stage.unfreeze not in (None, "none"):
            raise BadConfiguration(
                f"{why}The stage {stage.name!r} tunes blocks (stages.{number}.unfreeze). Take "
                "stages that train the head only, such as --set 'stages=[{name: head}]', or "
                "--imbalance oversample."
            )
        if stage.views not in ("auto", "clean"):
            raise BadConfiguration(f"{why}views = {stage.views} shows other images: leave it out.")
    if recipe.cutmix:
        raise BadConfiguration(f"{why}cutmix needs pixels: leave it out, or take mixup.")
    from importlib.util import find_spec

    if find_spec("imblearn") is None:
        raise BadConfiguration(
            "imbalance = smote needs imbalanced-learn: pip install 'keras_transfer[smote]', or "
            "take imbalance = oversample."
        )
