"""Losses of domain adaptation: numbers by hand and by loops, properties, missing domains."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_transfer.domains.distances import coral_distance
from keras_transfer.methods.graph.adversarial import DomainCrossentropy, Reconstruction
from keras_transfer.methods.graph.distances import (
    CovarianceDistance,
    JointMeanDiscrepancy,
    MeanDiscrepancy,
)
from keras_transfer.methods.graph.predictions import (
    ClassConfusion,
    PredictionEntropy,
    PseudoLabelCrossentropy,
)

LOSSES = {
    "domain_crossentropy": (DomainCrossentropy(), 1),
    "entropy_conditioned": (DomainCrossentropy(3), 4),
    "reconstruction": (Reconstruction(), 6),
    "covariance": (CovarianceDistance(), 4),
    "discrepancy": (MeanDiscrepancy(), 4),
    "joint": (JointMeanDiscrepancy(3), 5),
    "confusion": (ClassConfusion(), 3),
    "entropy": (PredictionEntropy(), 3),
    "pseudo_labels": (PseudoLabelCrossentropy(0.4), 3),
}
"""Loss and number of columns that it takes."""

DISTANCES = [CovarianceDistance(), MeanDiscrepancy(), JointMeanDiscrepancy(2)]


def ids(*domains):
    return np.float32(domains)[:, None]


def value(loss, domain, outputs):
    return float(loss(domain, np.float32(outputs)))


def between(loss, source, target):
    domain = np.repeat(np.float32([0, 1]), [len(source), len(target)])[:, None]
    return value(loss, domain, np.concatenate([source, target]))


def softmax(logits):
    shares = np.exp(np.float64(logits))
    return shares / shares.sum(axis=-1, keepdims=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class TestDomainCrossentropy:
    def test_both_domains_count_the_same(self):
        """Source: sigmoid(-log 3) = 1/4, so -log 3/4. Target: -log 1/2, -log 3/4, -log 1/4."""
        found = value(DomainCrossentropy(), ids(0, 1, 1, 1), np.log([[1 / 3], [1], [3], [1 / 3]]))

        target = (np.log(2) + np.log(4 / 3) + np.log(4)) / 3
        assert found == pytest.approx((np.log(4 / 3) + target) / 2, rel=1e-6)

    def test_certain_rows_count_more(self):
        """A certain row has the weight 2, one of two equal classes 1 + exp(-log 2) = 1.5."""
        outputs = [[0, 50, 0], [np.log(3), 0, 0], [np.log(3), 0, 50], [0, 7, 7]]
        found = value(DomainCrossentropy(2), ids(0, 0, 1, 1), outputs)

        source = (2 * np.log(2) + 1.5 * np.log(4)) / 3.5
        target = (2 * np.log(4 / 3) + 1.5 * np.log(2)) / 3.5
        assert found == pytest.approx((source + target) / 2, rel=1e-6)

    def test_weights_have_no_gradient(self, rng):
        outputs = tf.constant(rng.normal(size=(6, 4)), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = DomainCrossentropy(3)(ids(0, 0, 1, 1, 1, 0), outputs)
        gradient = tape.gradient(loss, outputs).numpy()

        assert (gradient[:, 0] != 0).all()
        assert (gradient[:, 1:] == 0).all()

    def test_extreme_logits_have_a_finite_loss(self):
        assert value(DomainCrossentropy(), ids(0, 1), [[1e4], [-1e4]]) == 1e4


class TestReconstruction:
    def test_targets_are_standardized_within_their_domain(self):
        """Source 1, 3 and target 10, 30 are -1, 1 both; the second feature is constant: 0."""
        true = np.float64([[1, 5], [3, 5], [10, 7], [30, 7]])
        decoded = np.float64([[-1, 0], [0, 2], [-1, 0], [1, 0]])
        found = value(Reconstruction(), ids(0, 0, 1, 1), np.hstack([decoded, true]))

        # Row 2 alone is wrong: (1 + 4) / 2, half of the source's rows, half of the domains.
        assert found == pytest.approx(2.5 / 4, rel=1e-5)

    def test_what_is_decoded_has_no_gradient(self, rng):
        outputs = tf.constant(rng.normal(size=(5, 6)), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = Reconstruction()(ids(0, 0, 1, 1, 1), outputs)
        gradient = tape.gradient(loss, outputs).numpy()

        assert (gradient[:, :3] != 0).all()
        assert (gradient[:, 3:] == 0).all()


def kernel(x, y, mean):
    square = ((x - y) ** 2).sum()
    return np.mean([np.exp(-square / (b * mean)) for b in (0.25, 0.5, 1, 2, 4)])


def mean_square(rows):
    pairs = [((x - y) ** 2).sum() for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
    return np.mean(pairs)


def discrepancy(source, target, similarity):
    def mean(first, second):
        return np.mean([similarity(x, y) for x in first for y in second])

    return mean(source, source) + mean(target, target) - 2 * mean(source, target)


class TestDistances:
    def test_covariances_by_hand(self):
        """C_s = [[2, 0], [0, 0]], C_t = [[8, 8], [8, 8]]: (36 + 64 + 64 + 64) / (4 * 4)."""
        found = between(CovarianceDistance(), [[0.0, 5], [2, 5]], [[1.0, 1], [5, 5]])

        assert found == pytest.approx(228 / 16, rel=1e-6)

    @pytest.mark.parametrize("shape", [(7, 12), (12, 3)])
    def test_covariances_as_of_arrays(self, rng, shape):
        source, target = rng.normal(size=shape) + 3, 2 * rng.normal(size=(5, shape[1]))

        found = between(CovarianceDistance(), source, target)

        assert found == pytest.approx(coral_distance(source, target), rel=1e-4)

    def test_one_source_row_and_one_target_row(self):
        """All pairs of different rows have the mean square 4, so each exponent is 1 / factor."""
        found = between(MeanDiscrepancy(), [[0.0, 0]], [[0.0, 2]])

        similar = np.mean(np.exp([-4, -2, -1, -1 / 2, -1 / 4]))
        assert found == pytest.approx(2 - 2 * similar, rel=1e-6)

    def test_discrepancy_by_loops(self, rng):
        source, target = rng.normal(size=(3, 2)) + 10, rng.normal(size=(5, 2)) + 11
        mean = mean_square(np.concatenate([source, target]))

        found = between(MeanDiscrepancy(), source, target)

        wanted = discrepancy(source, target, lambda x, y: kernel(x, y, mean))
        assert found == pytest.approx(wanted, rel=1e-4)

    def test_joint_discrepancy_by_loops(self, rng):
        source, target = rng.normal(size=(4, 5)), rng.normal(size=(3, 5)) + np.eye(5)[:3]
        mean = mean_square(np.concatenate([source, target])[:, :2])

        def similarity(x, y):
            shares = ((softmax(x[2:]) - softmax(y[2:])) ** 2).sum()
            return kernel(x[:2], y[:2], mean) * np.exp(-shares / 1.68)

        found = between(JointMeanDiscrepancy(3), source, target)

        assert found == pytest.approx(discrepancy(source, target, similarity), rel=1e-4)

    def test_the_bandwidth_has_no_gradient(self):
        """It follows the scale of features, so a larger scale alone would not change the loss."""
        rows = tf.constant([[0.0], [1.0]])
        with tf.GradientTape() as tape:
            tape.watch(rows)
            loss = MeanDiscrepancy()(ids(0, 1), rows)
        gradient = tape.gradient(loss, rows).numpy()[:, 0]

        # d/dx (2 - 2 mean exp(-x^2 / b)) = 4 x mean(exp(-x^2 / b) / b) at x = 1.
        b = np.array([0.25, 0.5, 1, 2, 4])
        assert gradient == pytest.approx(4 * np.mean(np.exp(-1 / b) / b) * np.array([-1, 1]))

    def test_a_shift_of_the_means_is_seen_by_all_but_the_covariances(self, rng):
        rows = rng.normal(size=(20, 4))
        assert between(CovarianceDistance(), rows, rows + 5) == pytest.approx(0, abs=1e-6)
        assert between(MeanDiscrepancy(), rows, rows + 5) > 0.3
        assert between(JointMeanDiscrepancy(2), rows, rows + np.float64([5, 5, 0, 0])) > 0.3


TABLES = arrays("float32", (4, 3), elements=st.floats(-8, 8, width=32))
FEW = settings(max_examples=25, deadline=None)


class TestProperties:
    @FEW
    @given(rows=TABLES)
    @pytest.mark.parametrize("loss", DISTANCES, ids=lambda loss: loss.name)
    def test_a_batch_has_no_distance_to_itself(self, loss, rows):
        assert between(loss, rows, rows) == pytest.approx(0, abs=1e-4)

    @FEW
    @given(rows=TABLES, others=TABLES)
    @pytest.mark.parametrize("loss", DISTANCES, ids=lambda loss: loss.name)
    def test_distances_are_symmetric_and_not_negative(self, loss, rows, others):
        forth, back = between(loss, rows, others), between(loss, others, rows)

        assert forth == pytest.approx(back, rel=1e-4, abs=1e-4)
        assert forth >= -1e-4
        if not isinstance(loss, CovarianceDistance):
            assert forth <= 2

    @FEW
    @given(logits=TABLES)
    def test_ranges_of_losses_of_predictions(self, logits):
        target = ids(1, 1, 1, 1)
        assert -1e-6 <= value(PredictionEntropy(), target, logits) <= np.log(3) + 1e-6
        assert 0 <= value(ClassConfusion(), target, logits) <= 1
        # A label is the most likely class, whose probability is 1/3 at least.
        assert 0 <= value(PseudoLabelCrossentropy(0.0), target, logits) <= np.log(3) + 1e-6

    @FEW
    @given(outputs=arrays("float32", (6, 6), elements=st.floats(-8, 8, width=32)))
    @pytest.mark.parametrize("case", LOSSES)
    def test_the_order_of_rows_does_not_matter(self, case, outputs):
        loss, columns = LOSSES[case]
        domain, outputs = ids(0, 1, 1, 0, 1, 1), outputs[:, :columns]
        order = np.array([5, 3, 0, 1, 4, 2])

        found = value(loss, domain[order], outputs[order])
        assert found == pytest.approx(value(loss, domain, outputs), rel=1e-3, abs=1e-4)


class TestPredictions:
    def test_entropy_is_the_mean_over_target_rows(self):
        """log 2 of two equal classes, 0 of a certain one; the source row does not count."""
        logits = [[0.0, 0], [5, 5], [60, 0]]

        assert value(PredictionEntropy(), ids(0, 1, 1), logits) == pytest.approx(np.log(2) / 2)

    def test_pseudo_labels_are_those_of_confident_target_rows(self):
        """Probabilities 0.95, 0.8 and 0.92 of the target; 0.99 of the source does not count."""
        shares = np.array([[0.99, 0.01], [0.95, 0.05], [0.2, 0.8], [0.08, 0.92]])

        found = value(PseudoLabelCrossentropy(0.9), ids(0, 1, 1, 1), np.log(shares))

        assert found == pytest.approx(-(np.log(0.95) + np.log(0.92)) / 3, rel=1e-5)

    def test_the_gradient_is_that_towards_fixed_labels(self):
        """Softmax minus the predicted class, divided by the two target rows."""
        logits = tf.constant([[2.0, 0, 0], [0, 3, 1], [0, 0, 4]])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = PseudoLabelCrossentropy(0.5)(ids(0, 1, 1), logits)
        gradient = tape.gradient(loss, logits).numpy()

        wanted = (softmax(logits) - np.eye(3)) / 2
        np.testing.assert_allclose(gradient[1:], wanted[1:], rtol=1e-5)
        assert not gradient[0].any()

    def test_no_confident_row_is_no_loss(self):
        assert value(PseudoLabelCrossentropy(0.9), ids(0, 1), [[9.0, 0], [1, 0]]) == 0

    def test_confusion_of_two_rows_by_hand(self):
        """Rows of equal entropy, y = (3/4, 1/4) and (1/4, 3/4): C = [[5, 3], [3, 5]] / 8.

        Divided by its sums the off-diagonal is 3/8 each: (3/8 + 3/8) / 2.
        """
        logits = 2.5 * np.log([[3.0, 1], [1, 3], [9, 1]])

        assert value(ClassConfusion(), ids(1, 1, 0), logits) == pytest.approx(3 / 8, rel=1e-5)

    def test_confusion_by_loops(self, rng):
        logits, temperature, classes = 3 * rng.normal(size=(5, 3)), 1.7, 3
        shares = softmax(logits / temperature)
        weights = [1 + np.exp((row * np.log(row)).sum()) for row in shares]
        weights = len(shares) * np.array(weights) / sum(weights)
        wanted = 0.0
        for j in range(classes):
            row = [sum(weights * shares[:, j] * shares[:, k]) for k in range(classes)]
            wanted += sum(row[k] / sum(row) for k in range(classes) if k != j) / classes

        found = value(ClassConfusion(temperature), ids(1, 1, 1, 1, 1), logits)

        assert found == pytest.approx(wanted, rel=1e-5)

    def test_certain_predictions_are_not_confused(self):
        assert value(ClassConfusion(), ids(1, 1), [[500.0, 0, 0], [0, 500, 0]]) == 0


@pytest.mark.parametrize("case", LOSSES)
class TestAllLosses:
    def test_a_graph_of_unknown_batch_size_gives_a_value_per_row(self, case, rng):
        loss, columns = LOSSES[case]
        spec = [tf.TensorSpec((None, 1)), tf.TensorSpec((None, columns))]
        graph = tf.function(loss.call, input_signature=spec)
        for domain in (ids(0, 1, 1, 0), ids(1, 0, 0, 1, 1)):
            outputs = np.float32(rng.normal(size=(len(domain), columns)))
            found = graph(domain, outputs)
            assert found.shape == (len(domain),)
            assert float(tf.reduce_mean(found)) == pytest.approx(
                value(loss, domain, outputs), rel=1e-5
            )

    @pytest.mark.parametrize("rows", [1, 3])
    @pytest.mark.parametrize("domains", ["source", "target", "one of each", "equal rows"])
    def test_a_missing_domain_has_a_finite_loss_and_gradient(self, case, domains, rows, rng):
        loss, columns = LOSSES[case]
        domain = {"source": [0] * rows, "target": [1] * rows}.get(domains, [0, 1] * rows)
        outputs = np.float32(rng.normal(size=(len(domain), columns)))
        outputs = tf.constant(np.zeros_like(outputs) if domains == "equal rows" else outputs)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            losses = loss.call(tf.constant(ids(*domain)), outputs)
        gradient = tape.gradient(losses, outputs)

        assert np.isfinite(losses).all()
        assert np.isfinite(gradient).all()
        if domains == "source" and case not in (
            "domain_crossentropy", "entropy_conditioned", "reconstruction"
        ):  # fmt: skip
            assert not losses.numpy().any()
            assert not gradient.numpy().any()

    def test_it_is_restored_from_its_settings(self, case, rng):
        loss, columns = LOSSES[case]
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        domain, outputs = ids(0, 1, 1, 0, 1), rng.normal(size=(5, columns))

        assert type(copy) is type(loss)
        assert copy.get_config() == loss.get_config()
        assert value(copy, domain, outputs) == value(loss, domain, outputs)
