"""The source of a comparison of domains: a finished run, or labelled data and a frozen backbone.

Imported when a comparison begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.special import softmax

from keras_transfer import seeds
from keras_transfer.config.groups import Runtime
from keras_transfer.data import splits
from keras_transfer.data.batches import plain_batches
from keras_transfer.data.copies import related
from keras_transfer.data.samples import LABEL, SPLITS, Judge, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.evaluation.inference import agree, predict
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.logistic import fit_logistic
from keras_transfer.networks.cutting import Cut, cut_network, in_order
from keras_transfer.networks.network import Network
from keras_transfer.objectives.outputs import single_class
from keras_transfer.runs import Run
from keras_transfer.runs.split_table import read_digests
from keras_transfer.workflows.auto_backbone import drawn
from keras_transfer.workflows.building import build
from keras_transfer.workflows.candidates import label
from keras_transfer.workflows.extractors import all_rows, engine_config
from keras_transfer.workflows.ranking import feature_extractor

__all__ = ["Source", "from_data", "from_run", "open_run"]

POOL = "pool"
"""Name of the layer behind which features are taken, in all our networks."""
PROBES = 8
"""Examples that the full network predicts for comparison."""
BATCH = 256

Head = Callable[[np.ndarray], np.ndarray]
"""From (n, ...) features to (n, classes) float64 probabilities."""


@dataclass(frozen=True, eq=False)
class Source:
    """Labelled examples of the source, and the model that learnt from them.

    Attributes:
        name: The run's folder, or the data.
        backbone: Name and variant of the network, for people.
        samples: Valid examples with their splits; perhaps none in train.
        judge: Says whether other examples can be used.
        make_extractor: Makes the extractor of features behind the pooling, once examples are there.
        head: Predicts from these features.
        train: The train examples that the second head learns from; perhaps none.
        flattened: Shape of the maps that the pooling flattens; None: it gives vectors.
        run: The run; None for data.
    """

    name: str
    backbone: str
    samples: Samples
    judge: Judge
    make_extractor: Callable[[], FeatureExtractor]
    head: Head
    train: Samples
    flattened: tuple[int, ...] | None = None
    run: Run | None = None

    def features(self, samples: Samples) -> np.ndarray:
        """(n, channels) float32 behind the pooling: from the cache, or computed.

        Raises:
            CheckFailed: There is no room for them.
        """
        return _features(self._extractor, samples)

    @cached_property
    def _extractor(self) -> FeatureExtractor:
        return self.make_extractor()

    def vectors(self, features: np.ndarray) -> np.ndarray:
        """(n, channels) features to measure distances in; means of maps that were flattened."""
        if self.flattened is None:
            return features
        *places, channels = self.flattened
        return features.reshape(len(features), int(np.prod(places)), channels).mean(axis=1)

    def agrees(self, samples: Samples, features: np.ndarray) -> bool:
        """Whether the full network says of a few raw examples what the head says of features."""
        if self.run is None:
            return True
        few = np.unique(np.linspace(0, len(samples) - 1, PROBES).astype(int))
        batches = plain_batches(samples.take(few), self.run.loading)
        # No graph: tracing a network takes longer than eight examples.
        logits = predict(self.run.network.predictor, batches, graph=False)[LABEL]
        return agree(self.head(features[few]), softmax(logits, axis=-1))

    @property
    def decision(self) -> Mapping[str, Any]:
        """What the run decides by; empty: the most probable class."""
        return {} if self.run is None else self.run.outputs[LABEL].decision

    @property
    def digests(self) -> set[str]:
        """Digests of all examples of the source, which are no target examples."""
        own = {*self.samples.digests} - {""}
        return own if self.run is None else own | _run_digests(self.run)

    def from_raw(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64 by the full network of the run."""
        assert self.run is not None
        return self.run.probabilities(samples)

    @cached_property
    def second_head(self) -> Head | None:
        """Logistic regression on features, whose agreement with the model is measured.

        It learns from every second train example: the model may be a logistic regression too, and
        would agree with itself. None where fewer than two classes are left to learn from.
        """
        train = self.train.take(np.arange(0, len(self.train), 2))
        if len(np.unique(train.labels)) < 2:
            return None
        head = _logistic(self.vectors(self.features(train)), train, 0)
        return lambda features: head(self.vectors(features))


def _run_digests(run: Run) -> set[str]:
    """Digests of the examples that a run had in any split."""
    return read_digests(run.split, SPLITS) - {""}


def open_run(folder: str | Path) -> Run:
    """Open a finished run whose domain can be compared.

    Raises:
        BadConfiguration: It is not finished, or predicts other than one class for each example.
    """
    run = Run(folder)
    if not single_class({name: output.objective for name, output in run.outputs.items()}):
        raise BadConfiguration(
            f"The run in {folder} predicts other than one class for each example, which is all "
            "that domains are compared for."
        )
    return run


def from_run(run: Run, data: Any, size: int, seed: int) -> Source:
    """The source of a run.

    Args:
        run: As ``open_run`` gives it.
        data: Other labelled examples of the source, of which those that the run had are left out;
            None: its own.
        size: Most train examples of the second head.
        seed: Of their draw.

    Raises:
        BadData: The examples of the run are gone, or have changed.
        BadConfiguration: The network has no pooling.
    """
    if data is None:
        samples = run.samples(SPLITS)
    else:
        samples = run.labelled(data)
        samples = samples.take(~np.isin(samples.digests.astype(str), [*_run_digests(run)]))
        samples = replace(samples, splits=np.full(len(samples), "test", object))
    cut, head, flattened = _cut(run.network)
    name, runtime = run.settings["backbone"]["name"], Runtime(**run.settings["runtime"])
    if runtime.engine == "none":  # of training
        runtime = Runtime()
    config = engine_config(runtime)
    assert config is not None
    train = samples.split("train")
    return Source(
        str(run.folder),
        " ".join([name, *(f"{k}={v}" for k, v in run.settings["backbone"]["variant"].items())]),
        samples,
        run.loading.input.check,
        lambda: FeatureExtractor(cut, run.loading, samples, config, backbone=name),
        lambda features: _predicted(head, features),
        splits.sample(train, size, seed) if len(train) else train,
        flattened,
        run,
    )


def from_data(recipe: Any, folder: Path) -> Source:
    """Labelled data: frozen features, and logistic regression on the train split as the model.

    Args:
        recipe: A ``FineTune`` with data, backbone, input, runtime and seed.
        folder: Gets ``split.csv``.
    """
    from keras_transfer.training.distributed import session

    backbone = recipe.backbone
    samples, sample = drawn(recipe, folder, recipe.data.source)
    with session(seed=recipe.seed):
        network = build(backbone, sample.given, (), backbone.weights, None)
        extractor = feature_extractor(network, backbone, sample)
        features = _features(extractor, sample.train)
    return Source(
        str(recipe.data.source),
        label(backbone),
        samples,
        extractor.loading.input.check,
        lambda: extractor,
        _logistic(features, sample.train, seeds.stream(recipe.seed, "members")),
        sample.train,
    )


def _cut(network: Network) -> tuple[Cut, keras.Model, tuple[int, ...] | None]:
    """The network up to the pooling, the head behind it, and the shape of flattened maps."""
    nodes = [node for node in in_order(network.model) if node.operation.name == POOL]
    if not nodes:
        raise BadConfiguration("The network has no pooling, behind which features could be taken.")
    pooled = nodes[0].output_tensors[0]
    flattens = isinstance(nodes[0].operation, keras.layers.Flatten)
    network.freeze(None)
    # A layer that trains, as in a run: so the cut, and the key of the features, are those of a run
    # whose head is trained, whatever this head is made of.
    trained = {LABEL: keras.layers.Dense(1, name="logits")(pooled)}
    cut = cut_network(
        keras.Model(network.model.input, trained), [*network.backbones], network.passthrough
    )
    if cut is None:
        raise BadConfiguration("The network has no weights before its pooling.")
    shape = tuple(nodes[0].input_tensors[0].shape[1:]) if flattens else None
    # The label alone: a run that answers unknown has another output.
    return cut, keras.Model(pooled, {LABEL: network.model.output[LABEL]}), shape


def _features(extractor: FeatureExtractor, samples: Samples) -> np.ndarray:
    return all_rows(extractor.table(samples)).reshape(len(samples), -1)


def _predicted(head: keras.Model, features: np.ndarray) -> np.ndarray:
    batches = [features[start : start + BATCH] for start in range(0, len(features), BATCH)]
    (logits,) = predict(head, batches).values()
    return softmax(logits, axis=-1)


def _logistic(features: np.ndarray, train: Samples, seed: int) -> Head:
    families = related(train.digests, train.groups)
    examples = Examples(features[None], train.labels, np.ones(len(train)), families)
    solved = fit_logistic(examples, len(train.classes), seed)
    return lambda rows: softmax(rows.astype("float64") @ solved.kernel + solved.bias, axis=1)
