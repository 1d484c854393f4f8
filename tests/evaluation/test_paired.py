"""Paired differences of any objective, against comparing and numbers worked out by hand."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import average_precision_score, f1_score, hamming_loss

from keras_transfer.errors import BadData
from keras_transfer.evaluation.paired import (
    align_predictions,
    paired_differences,
    resampled_metrics,
)
from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.regression import Regression


def values(keys, true, said, names=("x",)):
    true, said = (np.asarray(a, float).reshape(-1, len(names)) for a in (true, said))
    return Predicted(np.array([*keys], object), true, said, said, tuple(names))


def labels(keys, true, scores, names):
    scores = np.asarray(scores, float)
    true = np.asarray(true, float)
    return Predicted(np.array([*keys], object), true, scores, scores >= 0.5, tuple(names))


def classifier(rng, n=60, k=4):
    """Random predictions of n examples of k classes."""
    keys, true = np.array([f"{i}.jpg" for i in range(n)], object), rng.integers(0, k, n)
    scores = rng.dirichlet(np.ones(k), n)
    return Predicted(keys, true, scores, scores.argmax(axis=1), tuple("abcd"[:k]))


def test_the_interval_of_a_difference_is_that_of_the_binomial():
    """The second errs by 1 less on 10 of 100 examples: MAE falls by B(100, 0.1) / 100."""
    true = np.arange(100.0)
    first = true + (np.arange(100) < 10)
    runs = [[values(map(str, range(100)), true, said)] for said in (first, true)]

    found = Regression().compare(align_predictions(runs), 0, 1, draws=5000)["mae"]

    assert [binom.ppf(q, 100, 0.1) for q in (0.025, 0.975)] == [5, 16]
    assert (found["first"], found["second"]) == (0.1, 0)
    assert found["difference"] == pytest.approx(-0.1)
    assert found["interval"] == pytest.approx([-0.16, -0.05], abs=0.011)


OBJECTIVES = {
    "classification": (
        Classification(),
        classifier(np.random.default_rng(0)),
    ),
    "multilabel": (
        MultiLabel(),
        labels("uvwxyz", np.eye(6, 3), np.linspace(0, 1, 18).reshape(6, 3), "abc"),
    ),
    "regression": (
        Regression(),
        values("uvwxyz", np.arange(18), np.arange(18) ** 2, ("x", "y", "z")),
    ),
}


@pytest.mark.parametrize(("objective", "run"), OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_point_metrics_are_those_of_evaluate(objective, run):
    aligned = align_predictions([[run], [run]])

    found = objective.compare(aligned, 0, 1, draws=100)

    metrics = objective.evaluate(run.true, run.scores, run.names)
    for name in objective.headline:
        assert found[name]["first"] == pytest.approx(metrics[name])
        assert (found[name]["difference"], found[name]["interval"]) == (0, [0, 0])


@pytest.mark.parametrize(("objective", "run"), OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_order_of_examples_and_names_makes_no_difference(objective, run):
    """The second run has its examples backwards, and its first name last."""
    back, k = slice(None, None, -1), len(run.names)
    turned = [*range(1, k), 0]
    true, decided = (
        (x[back] - 1) % k if x.ndim == 1 else x[back][:, turned] for x in (run.true, run.decided)
    )
    names = tuple(run.names[i] for i in turned)
    other = Predicted(run.keys[back], true, run.scores[back][:, turned], decided, names)

    found = align_predictions([[run], [other]])

    assert found.names == run.names
    assert found.keys.tolist() == run.keys.tolist()
    np.testing.assert_array_equal(found.true, run.true)
    for model in found.models:
        np.testing.assert_array_equal(model[0].scores, run.scores)
        np.testing.assert_array_equal(model[0].decided, run.decided)


def test_examples_that_a_run_lacks_or_nobody_knows_are_left_out():
    first = values("abcd", [1, 2, 3, np.nan], [1, 2, 3, 4])
    second = values("dcbe", [np.nan, 3, 2, 9], [4, 5, 6, 7])

    found = align_predictions([[first], [second]])

    assert (found.keys.tolist(), found.left_out) == (["b", "c"], 2)
    assert [model[0].scores.ravel().tolist() for model in found.models] == [[2, 3], [6, 5]]


def test_an_unknown_class_stays_unknown_when_classes_are_reordered():
    chances = np.eye(2)
    first = Predicted(
        np.array(["a", "b"], object), np.array([0, 1]), chances, np.array([0, 1]), ("x", "y")
    )
    second = Predicted(
        np.array(["a", "b"], object), np.array([1, -1]), chances, np.array([0, 1]), ("y", "x")
    )

    found = align_predictions([[first], [second]])

    assert (found.keys.tolist(), found.true.tolist()) == (["a"], [0])
    assert found.models[1][0].decided.tolist() == [1]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (values("ab", [1, 2], [1, 2], ("y",)), "different labels or targets: x; y"),
        (values("vw", [1, 2], [1, 2]), "share no test example"),
        (
            values("ab", [1, 2.5], [1, 2]),
            "different true values for 1 of 2 examples. Compare .*:\n  b: x = 2; x = 2.5",
        ),
        (values("ab", [100, 200], [1, 2]), r"they are 100 times as large, as in another unit"),
    ],
)
def test_what_cannot_be_paired_is_refused(other, said):
    with pytest.raises(BadData, match=said):
        align_predictions([[values("ab", [1, 2], [1, 2])], [other]])


def test_classes_that_cannot_be_paired_are_refused():
    first, other = classifier(np.random.default_rng(0)), classifier(np.random.default_rng(1))
    with pytest.raises(BadData, match=r"different true values for \d+ of 60 .*\n  0.jpg: d; b"):
        align_predictions([[first], [other]])
    with pytest.raises(BadData, match="different classes: a, b, c, d; a, b, c"):
        align_predictions([[first], [classifier(np.random.default_rng(0), k=3)]])


def test_labels_against_scikit_learn_and_mcnemar_by_hand():
    """All labels of an example are right: only in the first in two, only in the second in one."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, (40, 3))
    first, second = rng.random((2, 40, 3))
    runs = [labels(map(str, range(40)), true, scores, "abc") for scores in (first, second)]

    found = MultiLabel().compare(align_predictions([[run] for run in runs]), 0, 1, draws=100)

    for place, scores in (("first", first), ("second", second)):
        decided = scores >= 0.5
        expected = {
            "mean_average_precision": average_precision_score(true, scores),
            "macro_f1": f1_score(true, decided, average="macro"),
            "micro_f1": f1_score(true, decided, average="micro"),
            "hamming_loss": hamming_loss(true, decided),
        }
        assert {name: found[name][place] for name in expected} == pytest.approx(expected)
    right = [((scores >= 0.5) == true).all(axis=1) for scores in (first, second)]
    (test,) = found["mcnemar"]
    assert test["only_first"] == sum(right[0] & ~right[1])
    assert test["only_second"] == sum(right[1] & ~right[0])


def test_each_target_has_its_own_metrics_and_test():
    """The second is closer by 1 to the first target, and off by 2 of the other."""
    true = np.arange(20.0).reshape(10, 2)
    first, second = (true + np.array(step) for step in ([1, 0], [0, 2]))
    runs = [[values("abcdefghij", true, said, ("x", "y"))] for said in (first, second)]

    found = Regression().compare(align_predictions(runs), 0, 1, draws=100)

    assert found["mae"]["difference"] == 0.5
    assert found["per_target"]["x"]["mae"]["difference"] == -1
    assert found["per_target"]["y"]["rmse"]["second"] == 2
    closer = [
        (row["target"], row["closer_first"], row["closer_second"]) for row in found["wilcoxon"]
    ]
    assert closer == [("x", 0, 10), ("y", 10, 0)]


def test_a_resample_without_positives_is_left_out_of_the_interval():
    """Of two examples one has the label: a quarter of the resamples lacks it."""
    runs = [[labels("ab", [[1], [0]], [[p], [0.4]], ["x"])] for p in (0.3, 0.9)]

    aligned = align_predictions(runs)
    drawn = resampled_metrics(aligned, MultiLabel().paired_metrics(["x"]), draws=400)
    found = paired_differences(aligned, MultiLabel().paired_metrics(["x"]))

    first = drawn["mean_average_precision"][0]
    assert np.isnan(first).mean() == pytest.approx(0.25, abs=0.07)
    assert set(first[~np.isnan(first)]) == {0.5, 1.0}
    assert found["mean_average_precision"]["first"] == 0.5
    assert found["mean_average_precision"]["interval"] == [0, 0.5]


def test_what_is_never_defined_is_none():
    runs = [[values("ab", [1, 1], [1, 2])]] * 2
    found = Regression().compare(align_predictions(runs), 0, 1)["r2"]
    assert set(found.values()) == {None}


def test_copies_are_drawn_together():
    """Ten copies of each of twenty examples are worth no more than the twenty."""
    rng = np.random.default_rng(0)
    true, noise = rng.normal(size=20), rng.normal(size=(2, 20))
    copies = np.repeat(np.arange(20), 10)

    def width(rows, families):
        runs = [[values(map(str, range(len(rows))), true[rows], (true + e)[rows])] for e in noise]
        found = Regression().compare(align_predictions(runs), 0, 1, families=families)
        return np.subtract(*found["mae"]["interval"][::-1])

    once = width(np.arange(20), None)
    assert width(copies, copies) == pytest.approx(once, rel=0.15)
    assert width(copies, None) < once / 2
