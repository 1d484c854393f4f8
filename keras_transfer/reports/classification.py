"""The sections of a classification: mistakes, classes, confidence, curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_transfer.evaluation.inline_plots import (
    COLOURS,
    plot_precision_recall,
    plot_reliability,
    plot_risk_coverage,
)
from keras_transfer.evaluation.intervals import bootstrap_interval
from keras_transfer.evaluation.metrics import precision_recall_curves
from keras_transfer.evaluation.mistakes import Pair, Share, class_shares, confused_pairs
from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.evaluation.reliability import Reliability, reliability
from keras_transfer.evaluation.selective import RiskCoverage, risk_coverage
from keras_transfer.evaluation.weighted import average_precisions, macro_f1
from keras_transfer.reports.calibration import Fitted
from keras_transfer.reports.wording import Table, percent, rounded_down, share_text, short, table

__all__ = ["Classes", "Plot", "classes", "confusion", "plots"]

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
PAIRS = 15
MAX_BOOTSTRAP = 20_000
"""Most examples whose metrics are resampled: a page should take seconds."""


class Classes(NamedTuple):
    """What is known of a classification's test split.

    Attributes:
        predicted: Predictions of the examples whose class is known.
        counts: (classes, classes) int confusion matrix: rows are true classes.
        recalls: By class.
        precisions: By class.
        pairs: The most confused ones.
        reliability: Of the predicted class's probability.
        risk: The risk-coverage curve.
        macro_f1_interval: 95 % bootstrap interval of macro F1; None for very many examples.
    """

    predicted: Predicted
    counts: np.ndarray
    recalls: list[Share]
    precisions: list[Share]
    pairs: list[Pair]
    reliability: Reliability
    risk: RiskCoverage
    macro_f1_interval: list[float] | None

    @property
    def correct(self) -> np.ndarray:
        """(n,) bool."""
        return self.predicted.decided == self.predicted.true

    def table(self, train: dict[str, int]) -> Table:
        """Recall, precision and numbers by class, the lowest recall first.

        Args:
            train: Number of training examples by class.
        """
        rows = sorted(
            zip(self.predicted.names, self.recalls, self.precisions, strict=True),
            key=lambda row: 2.0 if row[1].value is None else row[1].value,
        )
        header = ["class", "recall", "precision", "F1", "test", "train"]
        return table(
            header,
            [
                [
                    *(short(name), share_text(recall), share_text(precision)),
                    *(_f1(recall, precision), f"{recall.n:,}"),
                    f"{train[name]:,}" if name in train else "-",
                ]
                for name, recall, precision in rows
            ],
        )


class Plot(NamedTuple):
    """A plot and the table behind it.

    Attributes:
        title: Heading.
        svg: The plot as HTML.
        text: What it says.
        table: Its numbers.
        legend: Names of the lines, in the order of the colours.
    """

    title: str
    svg: str
    text: str
    table: Table
    legend: Sequence[str] = ()


def classes(predicted: Predicted, families: np.ndarray) -> Classes | None:
    """Judge the predictions of a classification; None if no class is known.

    Args:
        predicted: Of the test split.
        families: (n,) int, equal for exact copies of an example.
    """
    known = np.asarray(predicted.true) >= 0
    if not known.any():
        return None
    keys, true, scores, decided = (np.asarray(values)[known] for values in predicted[:4])
    found = Predicted(keys, true, scores, decided, predicted.names)
    k, correct = len(found.names), found.decided == found.true
    counts = np.zeros((k, k), int)
    np.add.at(counts, (found.true, found.decided), 1)
    # Of the most probable class, which a threshold may not answer: its chance is what is judged.
    confidence, likeliest = found.scores.max(axis=1).clip(0, 1), found.scores.argmax(axis=1)
    return Classes(
        found,
        counts,
        class_shares(found.true, correct, families[known], k),
        class_shares(found.decided, correct, families[known], k),
        confused_pairs(counts, PAIRS),
        reliability(confidence, likeliest == found.true),
        risk_coverage(confidence, likeliest == found.true),
        _macro_f1_interval(found, families[known]),
    )


def _macro_f1_interval(found: Predicted, families: np.ndarray) -> list[float] | None:
    n = len(found.true)
    if n > MAX_BOOTSTRAP:
        return None

    def metric(weights: np.ndarray) -> np.ndarray:
        return macro_f1(weights, found.true, found.decided, len(found.names))[:, None]

    return bootstrap_interval(metric, n, families=families)[0]


def confusion(found: Classes, true: int, predicted: int) -> np.ndarray:
    """Places of the examples of a cell of the confusion matrix, the most confident first."""
    here = (found.predicted.true == true) & (found.predicted.decided == predicted)
    places = np.flatnonzero(here)
    return places[np.argsort(-found.predicted.scores[places].max(axis=1), kind="stable")]


def plots(found: Classes, calibration: Fitted | None = None) -> list[Plot]:
    """The reliability diagram, the risk-coverage curve and the precision-recall curves.

    Args:
        found: The predictions.
        calibration: What the run says of it; None: nothing.
    """
    made = [_reliability(found.reliability, calibration), _risk(found.risk)]
    if len(np.unique(found.predicted.true)) > 1:  # otherwise every precision is 1
        made.append(_precision_recall(found))
    return made


def _f1(recall: Share, precision: Share) -> str:
    if recall.value is None or precision.value is None:
        return "-" if recall.value is None else "0.000"
    total = recall.value + precision.value
    return f"{2 * recall.value * precision.value / total if total else 0.0:.3f}"


def _reliability(found: Reliability, calibration: Fitted | None) -> Plot:
    over = found.overconfidence
    points = f"{100 * abs(over):.1f}"
    lean = f"{points} points {'above' if over > 0 else 'below'}" if float(points) else "equal to"
    text = (
        f"Expected calibration error (ECE) {found.ece:.3f}, {len(found.counts)} bins. The mean "
        f"probability is {lean} the share of right answers. On the dashed line a probability is "
        "the share of right answers. Bars: share of the examples in each bin. With few examples "
        "ECE is too high even for a perfect model."
    )
    before = None
    if calibration is not None:
        text, before = f"{calibration.text} {text}", calibration.before
    bins = zip(found.edges, found.edges[1:], *found[1:], strict=False)
    rows = [
        [f"{low:.2f} to {high:.2f}", f"{n:,}", percent(said), percent(right)]
        for low, high, n, said, right in bins
        if n
    ]
    tabled = table(["confidence", "examples", "mean confidence", "accuracy"], rows)
    legend = [] if before is None else ["calibrated", "before"]
    svg = plot_reliability(found, before)
    return Plot("Can its probabilities be trusted?", svg, text, tabled, legend)


def _risk(found: RiskCoverage) -> Plot:
    text = (
        "What remains of the errors if the least sure examples are left to people. Area under the "
        f"curve (AURC) {found.area:.4f}; lower is better."
    )
    points = dict.fromkeys(found.at(coverage) for coverage in COVERAGES)
    rows = [
        [percent(coverage), percent(risk), rounded_down(threshold)]
        for threshold, coverage, risk in points
    ]
    header = ["accepted", "errors among them", "probability at least"]
    return Plot("What if it may abstain?", plot_risk_coverage(found), text, table(header, rows))


def _precision_recall(found: Classes) -> Plot:
    true, scores, names = found.predicted.true, found.predicted.scores, found.predicted.names
    labels = np.unique(true)
    one_hot = true[:, None] == labels
    precisions = average_precisions(np.ones((1, len(true))), one_hot, scores[:, labels])[0]
    order = np.argsort(precisions, kind="stable")
    numbers = [str(place) for place in range(len(names))]  # names need not be unique when cut
    curves: dict[int, list[tuple[float, float]]] = {}
    for name, _, precision, recall in precision_recall_curves(true, scores, numbers):
        curves.setdefault(int(name), []).append((recall, precision))
    drawn = [int(labels[place]) for place in order[:COLOURS]]
    lines = [np.array([*curves[label], (0.0, 1.0)]).T for label in drawn]
    rows = [[short(names[labels[place]]), f"{precisions[place]:.3f}"] for place in order]
    text = f"One class against all others; the {len(drawn)} with the lowest average precision."
    svg = plot_precision_recall([(recall, precision) for recall, precision in lines])
    legend = [short(names[label], 24) for label in drawn]
    tabled = table(["class", "average precision"], rows)
    return Plot("Precision and recall", svg, text, tabled, legend)
