"""The law of whole-word masking, and what a masked batch makes of the loss."""

import math
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.inputs.masked_text import MASKED, MaskedText, as_examples
from keras_transfer.inputs.text import Text
from keras_transfer.inputs.texts.masking import WordMasking, fixed_seeds
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary
from keras_transfer.objectives.graph.perplexity import Perplexity
from keras_transfer.workflows.pretraining import masked_loss

WORDS = ("film", "plot", "good", "bad", "a", "the", "and", "cast", "it", "is")
PIECES = ("##s", "##ly", "##ness")
VOCABULARY = Vocabulary((*SPECIAL_TOKENS, "[unused0]", *WORDS, *PIECES), lowercase=True)
IDS = {token: number for number, token in enumerate(VOCABULARY.tokens)}
PAD, UNK, CLS, SEP, MASK = (IDS[token] for token in SPECIAL_TOKENS)
LENGTH = 24


def packed(words):
    """[CLS] words [SEP] [PAD] ..., of tuples of tokens."""
    tokens = [CLS, *(IDS[token] for word in words for token in word), SEP]
    return tokens + (LENGTH - len(tokens)) * [PAD]


def word_places(tokens):
    """The places of each word, by reading from left to right."""
    words = []
    for place, token in enumerate(tokens):
        name = VOCABULARY.tokens[token]
        if name.startswith("##") and words and words[-1][-1] == place - 1:
            words[-1].append(place)
        elif name not in SPECIAL_TOKENS:
            words.append([place])
    return words


word = st.tuples(st.sampled_from(WORDS), st.lists(st.sampled_from(PIECES), max_size=3)).map(
    lambda drawn: (drawn[0], *drawn[1])
)
texts = st.lists(word | st.just(("[UNK]",)), max_size=5)
batches = st.lists(texts, min_size=1, max_size=4)


def masked_by(batch, seed, share=0.15):
    ids = tf.constant([packed(text) for text in batch])
    seeds = tf.constant([[seed, row] for row in range(len(batch))])
    return ids.numpy(), WordMasking(VOCABULARY, share, LENGTH)(ids, seeds)


@settings(max_examples=60, deadline=None)
@given(batches, st.integers(0, 2**31 - 1), st.sampled_from([0.05, 0.15, 0.5, 0.9]))
def test_whole_words_are_masked_and_as_many_as_the_share_says(batch, seed, share):
    before, masked = masked_by(batch, seed, share)

    for row, tokens in enumerate(before.tolist()):
        words = word_places(tokens)
        n = int(masked.weights[row].numpy().sum())
        places = masked.positions[row].numpy()[:n].tolist()
        assert places == sorted(set(places))
        whole = [one for one in words if set(one) & set(places)]
        assert sorted(place for one in whole for place in one) == places  # whole words
        expected = min(len(words), max(1, math.floor(len(words) * share + 0.5)))
        assert len(whole) == expected
        assert masked.targets[row].numpy()[:n].tolist() == [tokens[place] for place in places]
        now = masked.token_ids[row].numpy().tolist()
        for place, (old, new) in enumerate(zip(tokens, now, strict=True)):
            if place not in places:
                assert old == new
            else:
                assert old not in (PAD, UNK, CLS, SEP, MASK)
                assert new == MASK or new not in (PAD, UNK, CLS, SEP, IDS["[unused0]"])
    assert masked.weights.numpy().max(initial=0) <= 1
    assert masked.positions.shape[1] % 8 == 0


def test_shares_are_those_of_bert():
    """80 % [MASK], 10 % any token, 10 % as it was; each word as often as the others."""
    rows, words = 6000, [(name,) for name in WORDS]
    before, masked = masked_by(rows * [words], 3, 0.3)
    chosen = np.zeros(before.shape, bool)
    for row, (places, there) in enumerate(zip(masked.positions, masked.weights, strict=True)):
        chosen[row, places.numpy()[there.numpy() > 0]] = True

    n = int(chosen.sum())
    assert n == 3 * rows
    by_place = chosen.sum(axis=0)[1:11]
    assert np.abs(by_place - n / 10).max() < 4 * np.sqrt(n * 0.1 * 0.9)
    new, old = masked.token_ids.numpy()[chosen], before[chosen]
    masks, same = (new == MASK).mean(), (new == old).mean()
    ordinary = len(WORDS) + len(PIECES)
    # A token that is drawn at random is the old one with probability 1 / ordinary.
    for found, share in ((masks, 0.8), (same, 0.1 + 0.1 / ordinary)):
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / n)
    others = Counter(new[(new != MASK) & (new != old)].tolist())
    assert set(others) == {IDS[token] for token in (*WORDS, *PIECES)}


def test_masks_follow_from_the_seed_of_the_text_alone():
    """Neither from the batch around it, nor from the padding that is cut."""
    masking = WordMasking(VOCABULARY, 0.4, LENGTH)
    ids = tf.constant([packed([(name,) for name in WORDS[k : k + 5]]) for k in range(4)])
    seeds = tf.constant([[1, k] for k in range(4)])
    together = masking(ids, seeds)

    alone = masking(ids[2:3, :8], seeds[2:3])
    again, other = masking(ids, seeds), masking(ids, seeds + 1)

    assert alone.token_ids[0].numpy().tolist() == together.token_ids[2, :8].numpy().tolist()
    assert (again.token_ids == together.token_ids).numpy().all()
    assert (other.token_ids != together.token_ids).numpy().any()


def test_fixed_seeds_follow_from_the_tokens():
    ids = tf.constant([packed([("film",)]), packed([("plot",)]), packed([("film",)])])
    seeds = fixed_seeds(ids, ids > 0).numpy()

    assert seeds[0].tolist() == seeds[2].tolist() != seeds[1].tolist()
    assert fixed_seeds(ids[:, :6], ids[:, :6] > 0).numpy().tolist() == seeds.tolist()


def test_a_graph_without_shapes_masks_as_eager_code_does():
    masking = WordMasking(VOCABULARY, 0.3, LENGTH)
    ids = tf.constant([packed([("film", "##s"), ("good",), ("a",)]), packed([])])
    seeds = tf.constant([[1, 2], [3, 4]])
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, 2], tf.int32)]

    graph = tf.function(masking.__call__, input_signature=signature)(ids, seeds)

    for one, other in zip(masking(ids, seeds), graph, strict=True):
        assert one.numpy().tolist() == other.numpy().tolist()


def example(weights):
    """A masked batch of two texts, by hand."""
    inputs = {
        "token_ids": tf.constant([[2, 4, 3], [2, 7, 4]]),
        "masked_targets": tf.constant([[6, 0], [7, 8]]),
        "masked_weights": tf.constant([[1.0, 0.0], [1.0, 1.0]]),
    }
    return as_examples(inputs, {MASKED: tf.zeros(2)}, {MASKED: tf.constant(weights)})


LOGITS = np.random.default_rng(0).normal(size=(2, 2, 10)).astype("float32")
LOG_P = LOGITS - np.log(np.exp(LOGITS).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 2.0), (0.0, 1.0)])
def test_the_loss_is_the_weighted_mean_over_masked_tokens(weights):
    inputs, targets, found = example(weights)
    assert set(inputs) == {"token_ids"}
    assert found[MASKED].numpy().tolist() == [[weights[0], 0], [weights[1], weights[1]]]
    losses = -np.array([LOG_P[0, 0, 6], LOG_P[1, 0, 7], LOG_P[1, 1, 8]])
    each = np.array([weights[0], weights[1], weights[1]])
    expected = (losses * each).sum() / each.sum()

    loss, perplexity = masked_loss(), Perplexity()
    eager = loss(targets[MASKED], LOGITS, sample_weight=found[MASKED])
    perplexity.update_state(targets[MASKED], LOGITS, sample_weight=found[MASKED])
    specs = [
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None, 10], tf.float32),
        tf.TensorSpec([None, None], tf.float32),
    ]
    graph = tf.function(lambda y, x, w: loss(y, x, sample_weight=w), input_signature=specs)

    assert float(eager) == pytest.approx(expected, rel=1e-5)
    assert float(graph(targets[MASKED], LOGITS, found[MASKED])) == pytest.approx(expected, rel=1e-5)
    assert float(perplexity.result()) == pytest.approx(np.exp(expected), rel=1e-5)


def test_padding_of_places_changes_no_loss():
    targets, weights = np.array([[3, 1]]), np.array([[1.0, 1.0]])
    logits = LOGITS[:1]
    wide = np.concatenate([logits, 9 * np.ones((1, 6, 10), "float32")], axis=1)

    def loss(y, x, w):
        return float(masked_loss()(y, x, sample_weight=w))

    padded = loss(np.pad(targets, ((0, 0), (0, 6))), wide, np.pad(weights, ((0, 0), (0, 6))))

    assert padded == pytest.approx(loss(targets, logits, weights), rel=1e-6)


def test_nothing_masked_is_no_loss_and_no_gradient():
    logits = keras.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = masked_loss()(np.zeros((2, 2), int), logits, sample_weight=np.zeros((2, 2)))

    assert float(loss) == 0
    assert not np.any(tape.gradient(loss, logits.value))


def test_masked_texts_are_those_of_the_input_and_masked_alike_each_time():
    text = Text(length=12)
    plain, masked = text.bind(VOCABULARY), MaskedText(text, VOCABULARY, 0.3)
    batch = masked.collate({"text": tf.constant(["a good film", "films and plots"])})
    assert batch["token_ids"].numpy().tolist() == (
        plain.prepare(tf.constant(["a good film", "films and plots"]))["token_ids"].numpy().tolist()
    )

    first, again = masked.masked_alike(batch), masked.masked_alike(dict(batch))
    alone = masked.masked_alike({name: values[1:] for name, values in batch.items()})

    assert first["token_ids"].numpy().tolist() == again["token_ids"].numpy().tolist()
    assert first["token_ids"][1].numpy().tolist() == alone["token_ids"][0].numpy().tolist()
