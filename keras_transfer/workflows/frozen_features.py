"""Features of a recipe's data by its frozen backbone, through the engine and its cache.

A ``recipe`` here is a ``FineTune``. TensorFlow is imported when features are computed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_transfer import quiet, seeds
from keras_transfer.data import sources
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.workflows.feature_files import Features
from keras_transfer.workflows.pretrained import resolve_weights
from keras_transfer.workflows.reading import brought, learn, read_samples, read_unlabelled

if TYPE_CHECKING:
    from keras_transfer.features.extractor import FeatureExtractor
    from keras_transfer.networks.cutting import Cut

__all__ = [
    "MAPS",
    "Extracted",
    "build_cut",
    "build_extractor",
    "check_settings",
    "extracted",
    "frozen_features",
]

MAPS = "none"
"""The pooling that keeps maps, or tokens, as the backbone gives them."""

logger = logging.getLogger("keras_transfer")


class Extracted(NamedTuple):
    """Features of examples, and the examples.

    Attributes:
        values: (n, channels) float32; (n, height, width, channels) for maps.
        samples: The n examples, with their contents' digests.
        metadata: What the features are, JSON-ready.
        report: How many were computed, and how many came from the cache.
    """

    values: np.ndarray
    samples: Samples
    metadata: dict[str, Any]
    report: dict[str, Any]


def frozen_features(
    recipe: Any,
    source: Any,
    *,
    pooling: str | None = None,
    layer: str | None = None,
    splits: Sequence[str] = (),
    labelled: bool = True,
) -> Features:
    """Compute features, as far as they are not in the cache; see ``extracted``.

    Raises:
        TransferError: Its class says what to mend; see ``keras_transfer.errors``.
    """
    how: dict[str, Any] = {"pooling": pooling, "layer": layer, "splits": splits}
    found = extracted(recipe, source, **how, labelled=labelled)
    samples, outputs = found.samples, recipe.objectives if labelled else ()
    return Features(
        found.values,
        samples.keys,
        samples.splits,
        samples.groups,
        {name: labels_of(samples, name) for name in outputs},
        found.metadata,
        found.report,
    )


def extracted(
    recipe: Any,
    source: Any,
    *,
    pooling: str | None = None,
    layer: str | None = None,
    splits: Sequence[str] = (),
    labelled: bool = True,
    folder: Path | None = None,
) -> Extracted:
    """Compute features, as far as they are not in the cache.

    Args:
        recipe: Its data, input, backbone, runtime and seed are used, so that a run has the same
            splits and finds the features in the cache.
        source: The data: a spec or arrays.
        pooling: As ``Head.pooling``, or "none"; that of the recipe's head if None.
        layer: A block or layer of the backbone; None: its output.
        splits: The splits to compute; all if there is none.
        labelled: Whether the data have labels; otherwise they are given as for ``predict``.
        folder: Gets the tables of labelled examples, as that of a run; None: nothing is written.

    Raises:
        TransferError: Its class says what to mend; see ``keras_transfer.errors``.
    """
    check_settings(recipe, pooling, splits, labelled)
    if labelled:  # else it may be a pattern
        sources.check_there(source)
    weights = resolve_weights(recipe.backbone.weights)
    quiet.import_tensorflow()
    from keras_transfer.training.distributed import session
    from keras_transfer.workflows.extractors import all_rows

    pooling = pooling or recipe.head.pooling
    seed = seeds.stream(recipe.seed, "weights")
    with session(seed=seed):
        learnt = brought(recipe.input, recipe.backbone.name, weights)
        # As in a run: errors of the network show before a long scan of the data.
        learns = recipe.input.learns and learnt is None
        cut = None if learns else build_cut(recipe, weights, pooling, layer, learnt)
        samples = _samples(recipe, source, splits, labelled, folder)
        learnt = learn(recipe.input, samples) if learns else learnt
        if splits:  # only now: what an input learns is of the train split
            samples = samples.take(np.isin(samples.splits, list(splits)))
        cut = cut or build_cut(recipe, weights, pooling, layer, learnt)
        extractor = build_extractor(recipe, cut, samples, learnt)
        values = all_rows(extractor.table(samples))
    metadata = _metadata(recipe, extractor, source, weights, pooling, layer)
    return Extracted(values, samples, metadata, extractor.report)


def check_settings(
    recipe: Any, pooling: str | None = None, splits: Sequence[str] = (), labelled: bool = True
) -> None:
    """Refuse settings of features that make no sense, before anything is read.

    Raises:
        BadConfiguration: It says which.
    """
    for name in splits:
        if name not in SPLITS:
            raise UnknownName("split", name, SPLITS)
    if splits and not labelled:
        raise BadConfiguration("split: data without labels have no splits. Leave it out.")
    if recipe.runtime.engine == "none":
        raise BadConfiguration("engine = none computes no features. Use --engine auto.")
    if pooling == MAPS and recipe.input.text_columns:
        raise BadConfiguration(
            f"pooling = {MAPS} would keep the padding of texts. Use avg, max or token."
        )
    if getattr(recipe, "fuse", ()):
        raise BadConfiguration(
            f"Features are those of one backbone, and fuse = {', '.join(recipe.fuse)}. Leave fuse "
            "out (fuse=()), and compute those of the others by themselves."
        )
    if not labelled and recipe.input.learns and recipe.backbone.weights == "none":
        raise BadConfiguration(
            "A vocabulary is learnt from the train split, and texts without labels have none. Use "
            "--weights run:DIR, a run on texts, or a pretrained network such as minilm."
        )


def build_cut(
    recipe: Any, weights: str, pooling: str, layer: str | None, learnt: Any = None
) -> Cut:
    """Build a recipe's backbone, and cut it where features are taken.

    Args:
        recipe: As for ``frozen_features``, ``pooling`` and ``layer`` too.
        weights: As ``resolve_weights`` returns them.
        pooling: Of the features.
        layer: Of the backbone.
        learnt: State of the fitted input, or None.
    """
    from keras_transfer.workflows.building import build
    from keras_transfer.workflows.feature_cuts import feature_cut

    if weights == "none":
        logger.warning("Warning: weights = none: features of a network with random weights.")
    network = build(recipe.backbone, recipe.input, (), weights, learnt)
    return feature_cut(network, recipe.backbone, None if pooling == MAPS else pooling, layer)


def build_extractor(
    recipe: Any, cut: Cut, samples: Samples, learnt: Any = None
) -> FeatureExtractor:
    """The extractor of a recipe's backbone, which shares its cache with runs.

    Args:
        recipe: As for ``frozen_features``.
        cut: As ``build_cut`` returns it.
        samples: Some of the examples, on which engines are measured.
        learnt: State of the fitted input, or None.
    """
    from keras_transfer.data.batches import Loading
    from keras_transfer.features.extractor import FeatureExtractor
    from keras_transfer.workflows.extractors import engine_config

    first, *_ = cut.before[0].inputs
    bound = recipe.input.bind_to(learnt, first.shape[1], cut.inputs)
    loading = Loading(bound, recipe.batches.batch_size)
    config = engine_config(recipe.runtime)
    assert config is not None  # refused without an engine
    return FeatureExtractor(cut, loading, samples, config, backbone=recipe.backbone.name)


def _samples(
    recipe: Any, source: Any, splits: Sequence[str], labelled: bool, folder: Path | None
) -> Samples:
    if not labelled:
        return read_unlabelled(recipe.data, source, recipe.input, recipe.seed)
    given, seed = recipe.input, recipe.seed
    samples = read_samples(
        recipe.data, source, folder, given=given, seed=seed, objectives=recipe.objectives
    )
    for name in splits:
        if not (samples.splits == name).any():
            raise BadData(f"The data have no examples in the {name} split.")
    return samples


def _metadata(
    recipe: Any,
    extractor: FeatureExtractor,
    source: Any,
    weights: str,
    pooling: str,
    layer: str | None,
) -> dict[str, Any]:
    """What the features are, JSON-ready."""
    report, versions = extractor.report, {}
    with suppress(PackageNotFoundError):  # a checkout that is not installed
        versions = {"keras_transfer": version("keras_transfer")}
    return {
        "data": sources.describe(source),
        "backbone": recipe.backbone.name,
        "variant": dict(recipe.backbone.variant),
        "weights": weights,
        "layer": layer,
        "pooling": pooling,
        "input": extractor.loading.input.metadata,
        "seed": recipe.seed,
        **versions,
        **{name: report[name] for name in ("boundary", "engine", "precision", "error")},
    }
