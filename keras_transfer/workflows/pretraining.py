"""Training on masked words: targets, stages, and metrics on held-out texts.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.config.groups import Batches
from keras_transfer.data.batches import Columns, evaluation_batches, plain_batches
from keras_transfer.data.copies import families
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.evaluation.masked_words import (
    Answers,
    masked_headline,
    masked_metrics,
    unigram_answers,
    write_answers,
)
from keras_transfer.evaluation.prediction_files import FILES
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.shortening import without_padding
from keras_transfer.features.stage_batches import Split, StageBatches
from keras_transfer.inputs.masked_text import MASK_POSITIONS, MASKED, MaskedText, as_examples
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS
from keras_transfer.networks.free_length import with_free_length
from keras_transfer.networks.network import Network
from keras_transfer.objectives.graph.perplexity import Perplexity
from keras_transfer.training.terms import Term
from keras_transfer.workflows.imbalance import ImbalanceStrategy
from keras_transfer.workflows.stage_runner import StageRunner
from keras_transfer.workflows.targets import Targets

__all__ = ["MaskedTargets", "PretrainRunner", "masked_answers", "token_counts_of"]

logger = logging.getLogger("keras_transfer")

Tensors = dict[str, tf.Tensor]


def masked_loss() -> keras.losses.Loss:
    """Mean of -log p over the masked tokens of a batch, however many places pad its rows."""
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )


class MaskedTargets(Targets):
    """The targets of masked tokens, which the batches make themselves; weights of the texts.

    Args:
        train: The train split.
        strategy: Its length is an epoch.
    """

    def __init__(self, train: Samples, strategy: ImbalanceStrategy):
        super().__init__({}, train, Batches(), strategy)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Cross-entropy of the masked tokens, with accuracy and perplexity."""
        return (Term(MASKED, MASKED, masked_loss(), metrics=("accuracy", Perplexity())),)

    def val(self, samples: Samples) -> Split:
        """A validation split, whose texts count alike."""
        return Split(samples, _columns(samples, np.ones(len(samples), "float32")))

    def _columns(self, samples: Samples) -> Columns:
        return _columns(samples, samples.weights)


def _columns(samples: Samples, weights: np.ndarray) -> Columns:
    """Weights by text; its tokens become targets once they are masked."""
    return Columns({MASKED: np.zeros(len(samples), "float32")}, {MASKED: weights})


class PretrainRunner(StageRunner):
    """Trains the stages on words that are masked otherwise in each epoch.

    The val split is masked by its texts alone, so that its metrics can be compared between
    epochs, with the network before training, and between runs.
    """

    def _batches(self, index: int, extractor: FeatureExtractor | None) -> StageBatches:
        batches, given = super()._batches(index, extractor), self.setup.loading.input

        def train(first_epoch: int) -> tf.data.Dataset:
            return batches.train(first_epoch).map(as_examples)

        return replace(batches, train=train, val=batches.val.map(_alike(given)).map(as_examples))

    def measured(self, title: str) -> dict[str, Any]:
        """Metrics of the current weights on the test split, which are logged too.

        Args:
            title: Of the weights, for the log.
        """
        samples = self._split("test")
        answers = masked_answers(self.network, samples, self.setup)
        metrics = masked_metrics(answers, families(samples.digests))
        logger.info("The network %s: %s", title, masked_headline(metrics))
        return metrics

    def evaluated(self, before: dict[str, Any]) -> dict[str, Any]:
        """Predict the masked words of val and test, and write them.

        Args:
            before: As ``measured`` gave it before training.

        Returns:
            Content of ``metrics.json``.
        """
        vocabulary = self.setup.loading.input.vocabulary
        metrics: dict[str, Any] = {}
        for split, stem in FILES.items():
            samples = self._split(split)
            answers = masked_answers(self.network, samples, self.setup)
            file = self.folder / f"{stem}.csv"
            write_answers(file, answers, samples.keys.tolist(), vocabulary.tokens)
            copies = families(samples.digests)
            metrics[split] = masked_metrics(answers, copies)
        # Of the test split, which comes last.
        counts = token_counts_of(self.setup.train, self.setup, vocabulary)
        unigram = masked_metrics(unigram_answers(answers, counts), copies)
        return {**metrics, "baselines": {"before_training": before, "unigram": unigram}}

    def _split(self, name: str) -> Samples:
        return self.setup.samples.split(name)

    def _cure(self, stage: Any) -> str:
        return ""


def _alike(given: MaskedText) -> Callable[..., tuple]:
    """Mask the inputs of a batch by their texts alone."""
    return lambda inputs, *rest: (given.masked_alike(inputs), *rest)


def masked_answers(network: Network, samples: Samples, setup: Any) -> Answers:
    """Predict the masked tokens of held-out texts, in float32.

    Args:
        network: As ``build_masked_network`` makes it.
        samples: The texts; their masks depend on them alone.
        setup: Its loading and batches are used.

    Raises:
        BadData: No word can be masked.
    """
    given, columns = setup.loading.input, _columns(samples, np.ones(len(samples), "float32"))
    model = with_free_length(network.model)
    answer = _answering(model)
    parts, first = [], 0
    for inputs, _, weights in evaluation_batches(samples, setup.loading, columns):
        masked = without_padding(given.masked_alike(inputs))
        n = min(len(weights[MASKED]), len(samples) - first)  # the others pad the batch
        inputs, targets, weights = as_examples(masked, {}, weights)
        found = [part.numpy()[:n] for part in answer(inputs, targets[MASKED])]
        there = weights[MASKED].numpy()[:n] > 0
        texts = first + np.nonzero(there)[0]
        places = inputs[MASK_POSITIONS].numpy()[:n]
        true = targets[MASKED].numpy()[:n]
        parts.append([texts, *(one[there] for one in (places, true, *found))])
        first += n
    if not any(len(texts) for texts, *_ in parts):
        raise BadData(
            f"No word of {len(samples):,} held-out texts can be masked: the vocabulary has none of "
            "their words. Are they in another script or language than it?"
        )
    return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _answering(model: keras.Model) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    # One graph for batches of every length.
    specs = {
        name: tf.TensorSpec([None, None], tensor.dtype) for name, tensor in model.input.items()
    }
    signature = (specs, tf.TensorSpec([None, None], tf.int32))

    @tf.function(input_signature=signature)
    def answer(inputs: Tensors, true: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = tf.cast(model(inputs, training=False)[MASKED], tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(true, logits)
        return tf.argmax(logits, axis=-1), -tf.cast(losses, tf.float64)

    return answer


def token_counts_of(samples: Samples, setup: Any, vocabulary: Any) -> np.ndarray:
    """(tokens,) int64: how often each token occurs in texts; of special ones 0."""
    counts = np.zeros(len(vocabulary), "int64")
    for batch in plain_batches(samples, setup.loading).as_numpy_iterator():
        counts += np.bincount(batch["token_ids"].ravel(), minlength=len(vocabulary))
    counts[[vocabulary.special[token] for token in SPECIAL_TOKENS]] = 0
    return counts
