"""Targets: columns, weights, losses and soft labels, worked out by hand."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer import BadConfiguration
from keras_transfer.config.groups import Batches
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Bootstrap
from keras_transfer.methods.base import ExtraTerm
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.regression import Regression
from keras_transfer.workflows.imbalance import strategy_for
from keras_transfer.workflows.targets import Targets

LABELS = [0, 0, 1, 0]
OWN = [1, 2, 1, 4]


def samples(**targets):
    """Three cats and a dog, with weights of their own."""
    found = Samples.of(None, ("cat", "dog"), list("abcd"), LABELS, weights=OWN)
    values = {name: np.asarray(values) for name, (values, _) in targets.items()}
    names = {name: tuple(units) for name, (_, units) in targets.items()}
    return replace(found, targets=values, names=names)


def targets_of(objective=None, train=None, extra=(), label_weight=1.0, **batches):
    train = samples() if train is None else train
    objectives = objective if isinstance(objective, dict) else {"label": objective or plain()}
    strategy = strategy_for(objectives, train, 0)
    return Targets(objectives, train, Batches(**batches), strategy, extra, label_weight)


def plain(**settings):
    return Classification(**{"imbalance": "none", **settings})


WEIGHTED = plain(class_weight={"cat": 1, "dog": 3})

KIND = ([0, 1, -1, 2], ("a", "b", "c"))
PRICE = ([[1.0], [np.nan], [3.0], [5.0]], ("price",))


class TestColumns:
    def test_a_weight_is_that_of_the_example_times_that_of_its_class(self):
        columns = targets_of(WEIGHTED).train().columns

        assert columns.targets["label"].tolist() == LABELS
        assert columns.weights["label"].tolist() == [1, 2, 3, 4]

    def test_with_label_smoothing_a_weight_is_that_of_the_shares(self):
        """0.8 of its own class and 0.2 of the mean 2: 1.2 for cats, 2.8 for the dog."""
        smooth = plain(class_weight={"cat": 1, "dog": 3}, label_smoothing=0.2)

        weights = targets_of(smooth).train().columns.weights["label"]

        assert weights == pytest.approx([1.2, 2.4, 2.8, 4.8])

    def test_validation_counts_every_example_once(self):
        columns = targets_of(WEIGHTED).val(samples()).columns

        assert columns.targets["label"].tolist() == LABELS
        assert columns.weights["label"].tolist() == [1, 1, 1, 1]

    def test_an_example_without_a_target_weighs_nothing_in_that_term(self):
        train = samples(kind=KIND, price=PRICE)
        targets = targets_of({"kind": plain(), "price": Regression()}, train)

        for columns, own in ((targets.train().columns, OWN), (targets.val(train).columns, [1] * 4)):
            assert columns.targets["kind"].tolist() == [0, 1, 0, 2]
            assert columns.targets["price"].tolist() == [[1], [0], [3], [5]]
            assert columns.weights["kind"].tolist() == [own[0], own[1], 0, own[3]]
            assert columns.weights["price"].tolist() == [own[0], 0, own[2], own[3]]
            assert {w.dtype for w in columns.weights.values()} == {np.dtype("float32")}


class TestTerms:
    @pytest.mark.parametrize(
        ("objective", "batches", "loss"),
        [
            (plain(), {}, keras.losses.SparseCategoricalCrossentropy),
            (plain(label_smoothing=0.1), {}, keras.losses.CategoricalCrossentropy),
            (plain(), {"mixup": 0.2}, keras.losses.CategoricalCrossentropy),
            (plain(), {"cutmix": 1.0}, keras.losses.CategoricalCrossentropy),
            (plain(imbalance="focal"), {}, keras.losses.CategoricalFocalCrossentropy),
        ],
    )
    def test_the_loss_takes_the_targets_as_they_come(self, objective, batches, loss):
        targets = targets_of(objective, **batches)
        ((output, target, found, weight, metrics),) = targets.terms

        assert (output, target, weight, metrics) == ("label", "label", 1.0, ("accuracy",))
        assert type(found) is loss
        assert found.get_config()["from_logits"]
        assert (targets.mix is not None) == (loss is not keras.losses.SparseCategoricalCrossentropy)
        assert targets.pixels_change == ("cutmix" in batches)

    def test_weights_of_objectives_are_those_of_their_terms(self):
        objectives = {"kind": plain(weight=2.0), "price": Regression(weight=0.5)}
        terms = targets_of(objectives, samples(kind=KIND, price=PRICE)).terms

        assert [(term.output, term.weight) for term in terms] == [("kind", 2.0), ("price", 0.5)]

    def test_a_methods_term_takes_its_share_of_the_others(self):
        """Its targets go with the train split; the best epoch is chosen without them."""
        logits = np.arange(8, dtype="float32").reshape(4, 2)
        extra = ExtraTerm("teacher", keras.losses.MeanSquaredError(), 0.25, lambda given: logits)
        targets = targets_of(plain(weight=2.0), extra=(extra,), label_weight=0.75)

        assert [(term.output, term.weight) for term in targets.terms] == [
            ("label", 1.5), ("teacher", 0.25)
        ]  # fmt: skip
        train, val = targets.train().columns, targets.val(samples()).columns
        assert train.targets["teacher"].tolist() == logits.tolist()
        assert train.weights["teacher"].tolist() == OWN
        assert val.targets["teacher"].shape == (4, 2)
        assert val.weights["teacher"].tolist() == [0, 0, 0, 0]


class TestSoftTargets:
    def batch(self):
        numbers = tf.range(4, dtype=tf.float32)[:, None]
        targets = {"kind": tf.constant([0, 1, 2, 0]), "price": numbers}
        return {"x": numbers}, targets, {name: tf.ones(4) for name in targets}

    def test_inputs_and_all_targets_are_blended_in_one_proportion(self):
        """The input of an example is its price, and its kind one of three."""
        train = samples(kind=([0, 1, 2, 0], "abc"), price=([[0.0], [1.0], [2.0], [3.0]], ["price"]))
        targets = targets_of({"kind": plain(), "price": Regression()}, train, mixup=0.8)

        inputs, found, weights = targets.mix(*self.batch(), tf.constant([1, 2]), tf.constant(0))

        assert found["price"].numpy() == pytest.approx(inputs["x"].numpy(), abs=1e-6)
        assert found["kind"].shape == (4, 3)
        assert found["kind"].numpy().sum(axis=1) == pytest.approx(np.ones(4))
        assert np.ptp(inputs["x"].numpy() - np.arange(4)[:, None]) > 0.1
        assert weights["price"].numpy() == pytest.approx(np.ones(4))

    def test_validation_has_plain_labels(self):
        targets = targets_of(plain(label_smoothing=0.3))
        columns = ({"x": [[0.0]] * 2}, {"label": [1, 0]}, {"label": [1.0, 0.5]})
        ((_, labels, weights),) = targets.judged(tf.data.Dataset.from_tensors(columns))

        assert labels["label"].numpy().tolist() == [[0, 1], [1, 0]]
        assert weights["label"].numpy().tolist() == [1, 0.5]

    def test_validation_of_class_numbers_stays(self):
        batches = tf.data.Dataset.from_tensors(0)

        assert targets_of(plain()).judged(batches) is batches

    @pytest.mark.parametrize("way", ["mixup", "cutmix"])
    @pytest.mark.parametrize(("missing", "name"), [("kind", "kind"), ("price", "price")])
    def test_targets_that_are_missing_are_not_blended(self, way, missing, name):
        """A blend of a known and an unknown target would be a wrong one, at a weight above 0."""
        full = {"kind": ([0, 1, 2, 0], "abc"), "price": ([[0.0], [1.0], [2.0], [3.0]], ["price"])}
        objectives = {"kind": plain(), "price": Regression()}
        train = samples(**{**full, missing: {"kind": KIND, "price": PRICE}[missing]})

        assert targets_of(objectives, samples(**full), **{way: 0.5}).mix is not None
        with pytest.raises(BadConfiguration, match=f"1 of 4 training examples have no {name}"):
            targets_of(objectives, train, **{way: 0.5})


def test_a_bootstrap_draw_has_a_sampling_of_its_own():
    targets = targets_of()
    drawn = np.array([0, 0, 2, 3])

    other = targets.of(drawn, seed=5)

    assert isinstance(other.strategy.sampling, Bootstrap)
    assert sorted(other.strategy.sampling.draw(1, 0)[0]) == [0, 0, 2, 3]
    assert targets.strategy.sampling is None
    assert other.train().columns.targets["label"].tolist() == LABELS
