"""Feature extractors: their settings, their rows, and those of a run's stages."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from keras_transfer.cache import cache_dir
from keras_transfer.config.groups import Runtime
from keras_transfer.data.batches import Loading
from keras_transfer.data.memory import available
from keras_transfer.data.samples import Samples
from keras_transfer.errors import CheckFailed
from keras_transfer.features.extractor import EngineConfig, FeatureExtractor
from keras_transfer.features.store import Table
from keras_transfer.networks.cutting import Cut

__all__ = ["StageExtractors", "all_rows", "engine_config", "sources"]


def engine_config(runtime: Runtime) -> EngineConfig | None:
    """How frozen parts are run; None where the full network runs in every epoch."""
    if runtime.engine == "none":
        return None
    return EngineConfig(runtime.engine, runtime.engine_error, cache_dir(), runtime.cache)


def all_rows(table: Table | None) -> np.ndarray:
    """(n, ...) float32 features of a table, as ``FeatureExtractor.table`` gives it.

    Raises:
        CheckFailed: There was no room for them, or is none in memory.
    """
    if table is None:
        raise CheckFailed("The cache has no room for the features. Raise KT_CACHE_GB.")
    size, free = 4 * len(table) * prod(table.shape), available()
    if size > free:
        raise CheckFailed(
            f"The features take {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free. "
            "Use --limit, or pooling = avg."
        )
    return table.take(np.arange(len(table)))


class StageExtractors:
    """Extractors by the number of their stage.

    Args:
        cuts: Cut of each stage; None for stages that train the full network.
        loading: Settings of batch loading.
        samples: Examples for the benchmark of engines.
        config: Settings of the engine and its cache; None if no stage is cut.
        backbone: Name of the network, for messages.
    """

    def __init__(
        self,
        cuts: Sequence[Cut | None],
        loading: Loading,
        samples: Samples,
        config: EngineConfig | None,
        *,
        backbone: str,
    ):
        self.cuts, self.loading, self.samples = list(cuts), loading, samples
        self.config, self.backbone = config, backbone
        self.made: dict[int, FeatureExtractor] = {}

    def of(self, index: int) -> FeatureExtractor | None:
        """The extractor of a stage, with the current weights; None if it has none.

        If a later stage is cut nearer to the inputs, its features are computed on the way.
        """
        later = sources(self.cuts)[index]
        earlier = None if later is None else self._made(later)
        return self._made(index, earlier)

    def reports(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Features computed for each stage, by its name."""
        return {
            names[index]: extractor.report
            for index, extractor in sorted(self.made.items())
            if any(extractor.counts.values())
        }

    def _made(self, index: int, earlier: FeatureExtractor | None = None) -> FeatureExtractor | None:
        cut = self.cuts[index]
        # Not before its stage: the key of its features is a hash of the weights, which training
        # changes.
        if cut is not None and self.config is not None and index not in self.made:
            self.made[index] = FeatureExtractor(
                cut,
                self.loading,
                self.samples,
                self.config,
                backbone=self.backbone,
                earlier=earlier,
            )
        return self.made.get(index)


def sources(cuts: Sequence[Cut | None]) -> list[int | None]:
    """From which later stage's features each stage can make its own.

    That stage's boundary lies nearer to the pixels, and what lies before it stays as it is in
    all stages between.

    Args:
        cuts: Of the stages in their order; None where a stage runs the network whole.

    Returns:
        For each stage the number of the later one that is cut nearest to the pixels, or None.
    """
    depths = [len(cut.frozen.weights) if cut else 0 for cut in cuts]
    found: list[int | None] = []
    for stage, depth in enumerate(depths):
        best = None
        for later in range(stage + 1, len(depths)):
            if depths[later] == 0:
                break
            if depths[later] < min(depths[stage:later]):
                best = later
        found.append(best if depth else None)
    return found
