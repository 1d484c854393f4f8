"""Paired differences of any objective, against comparing and numbers worked out by hand."""

import numpy as np
import pytest
from scipy.stats import binom

from keras_transfer.errors import BadData
from keras_transfer.evaluation.comparing import align, compare
from keras_transfer.evaluation.paired import (
    align_predictions,
    paired_differences,
    resampled_metrics,
)
from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.evaluation.predictions import Predictions
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


def classifiers(rng, runs, n=60, k=4):
    """Random predictions of two models with several runs each, in both forms."""
    names = tuple("abcd"[:k])
    keys, true = np.array([f"{i}.jpg" for i in range(n)], object), rng.integers(0, k, n)
    chances = rng.dirichlet(np.ones(k), (2, runs, n))
    old = [[Predictions(keys, true, p, names) for p in model] for model in chances]
    new = [[Predicted(keys, true, p, p.argmax(axis=1), names) for p in model] for model in chances]
    return old, new


@pytest.mark.parametrize("runs", [1, 3])
def test_classification_gives_the_numbers_that_compare_gives(runs):
    old, new = classifiers(np.random.default_rng(runs), runs)

    found = Classification().compare(align_predictions(new), 0, 1, draws=300)

    assert found == compare(align(old), 0, 1, resamples=300)


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
        classifiers(np.random.default_rng(0), 1)[1][0][0],
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
        (values("ab", [1, 2], [1, 2], ("y",)), "different outputs: x; y"),
        (values("vw", [1, 2], [1, 2]), "share no test example"),
        (values("ab", [1, 2.5], [1, 2]), "have different true values for these examples:\n  b"),
    ],
)
def test_what_cannot_be_paired_is_refused(other, said):
    with pytest.raises(BadData, match=said):
        align_predictions([[values("ab", [1, 2], [1, 2])], [other]])


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
