"""The verdict: how good the model is, where it fails, what to worry about, what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.evaluation.layout import is_better, title
from keras_transfer.evaluation.mistakes import Share
from keras_transfer.reports.classification import Classes
from keras_transfer.reports.data_card import DataCard
from keras_transfer.reports.thresholds import plain_accuracy, shortfall, threshold_sentences
from keras_transfer.reports.training import Training
from keras_transfer.reports.wording import interval, percent, quoted

__all__ = ["Facts", "OtherOutput", "Worry", "class_verdict", "worries"]

WIDE = 0.1
"""Width of an accuracy's interval from which a test split is small."""
GAP = 0.1
"""Accuracy on train less that on val from which a model overfits."""
MEANS = {"image": ", augmentation or dropout", "text": " or dropout"}
"""What else helps against overfitting."""
WEAK = 0.15
"""Recall below the accuracy from which a class is weak."""
MISCALIBRATED = 0.05
FEW_EXAMPLES = 50
"""Test examples below which any metric says little."""
FEW = 20
"""Test examples of a class below which its recall says little."""
UNEVEN = 10
"""Ratio of class sizes from which the small ones are likely to suffer."""


class Worry(NamedTuple):
    """Something that limits what the numbers mean, or how good the model is.

    Attributes:
        text: What was found.
        advice: What to do.
    """

    text: str
    advice: str


class Facts(NamedTuple):
    """What worries follow from.

    Attributes:
        metrics: Of the run, as ``metrics.json`` has them.
        training: Curves.
        data: The data card.
        classes: Of a run with one classification; None for others.
        baseline: Metrics of its baseline that looks at no input; None for other runs.
        unit: What an example is called: "image" or "text".
        others: Outputs of runs with other objectives, or with several.
    """

    metrics: Mapping[str, Any]
    training: Training
    data: DataCard
    classes: Classes | None
    baseline: Mapping[str, Any] | None
    unit: str
    others: Sequence[OtherOutput] = ()


class OtherOutput(NamedTuple):
    """An output of another run than one with one classification.

    Attributes:
        name: Of the output; empty if it is the only one.
        metric: Its main metric.
        n: Number of test examples.
        interval: Of the metric on the test split; None: not known.
        baseline: The metric of the baseline that looks at no input; None: not known.
    """

    name: str
    metric: str
    n: int
    interval: Sequence[float] | None
    baseline: float | None


def class_verdict(facts: Facts) -> list[str]:
    """Sentences on a classification: what it reaches, where it fails, and its threshold."""
    test, found = facts.metrics["test"], facts.classes
    assert found is not None
    baseline = facts.baseline or {}
    against = ""
    if "accuracy" in baseline:
        against = (
            f"; always answering {quoted(baseline.get('class', '?'))} would be right on "
            f"{percent(baseline['accuracy'])}"
        )
    unseen = "" if facts.data.copies.seen or facts.data.copies.torn else " it has never seen"
    first = (
        f"The model is right on {percent(test['accuracy'])} of {test['n']:,} test {facts.unit}s"
        f"{unseen} (95 % interval {interval(test['accuracy_interval'])}){against}."
    )
    return [first, _where_it_fails(found), *threshold_sentences(test)]


def _where_it_fails(found: Classes) -> str:
    if not found.pairs:
        return "It made no mistake on the test split."
    names = found.predicted.names
    worst, share = _weakest(found)
    pair = found.pairs[0]
    return (
        f"It is weakest on {quoted(names[worst])}, of which it finds {percent(share.value)} "
        f"({interval(share.interval)}; {share.n:,} examples), and most often takes "
        f"{quoted(names[pair.true])} for {quoted(names[pair.predicted])} ({pair.examples:,} times)."
    )


def _weakest(found: Classes) -> tuple[int, Share]:
    known = [(place, share) for place, share in enumerate(found.recalls) if share.n]
    return min(known, key=lambda row: row[1].value or 0.0)


def worries(facts: Facts) -> list[Worry]:
    """What to worry about, the most serious first."""
    found = [*_leaks(facts), *_other_worries(facts)]
    if facts.classes is not None:
        found += [*_class_worries(facts, facts.classes), *_stronger(facts)]
    found += _data_worries(facts)
    found += _training_worries(facts)
    return found if facts.classes is None else [*found, *_class_hints(facts, facts.classes)]


def _other(facts: Facts) -> str:
    """What else could be better; networks for texts cannot be ranked."""
    if facts.unit == "text":
        return "other settings (kt-recipe tune)"
    return "another backbone (kt-recipe rank)"


def _class_worries(facts: Facts, found: Classes) -> Iterator[Worry]:
    test = plain_accuracy(facts.metrics["test"])
    low, high = test["accuracy_interval"]
    base = (facts.baseline or {}).get("accuracy")
    if base is not None and low <= base:
        yield Worry(
            f"The accuracy is not clearly above the baseline of {percent(base)}: the model may "
            "have learnt nothing.",
            f"Check the labels, try {_other(facts)} or a learning rate found by kt-recipe lr-find.",
        )
    if high - low > WIDE:
        p, n = test["accuracy"], test["n"]
        enough = int(np.ceil(max(p * (1 - p), 0.05) * (2 * 1.96 / (WIDE / 2)) ** 2 / 10) * 10)
        yield Worry(
            f"{n:,} test {facts.unit}s are few: the interval of the accuracy is "
            f"{100 * (high - low):.0f} points wide.",
            f"About {max(enough, n + 10):,} test {facts.unit}s would make it 5 points wide.",
        )
    if missed := shortfall(facts.metrics["test"]):
        yield Worry(*missed)
    names = found.predicted.names
    absent = [name for name, share in zip(names, found.recalls, strict=True) if not share.n]
    if absent:
        yield Worry(
            f"{_listed(absent)} have no test example: nothing is known about them."
            if len(absent) > 1
            else f"{_listed(absent)} has no test example: nothing is known about it.",
            "Add test examples of every class.",
        )


def _other_worries(facts: Facts) -> Iterator[Worry]:
    for other in facts.others:
        name = f"{title(other.metric)}{f' of {quoted(other.name)}' if other.name else ''}"
        if other.interval is not None and other.baseline is not None:
            low, high = other.interval
            higher = is_better(other.metric) == "higher"
            if low <= other.baseline if higher else high >= other.baseline:
                yield Worry(
                    f"{name} is not clearly better than without looking at the {facts.unit}: the "
                    "model may have learnt nothing.",
                    f"Check the labels, train longer, or try {_other(facts)}.",
                )
        if other.n < FEW_EXAMPLES:
            yield Worry(
                f"{name} rests on {other.n:,} test examples only.", "Add labelled test examples."
            )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quoted(name) for name in names[:3])
    return shown + (f" and {len(names) - 3:,} more classes" if len(names) > 3 else "")


def _stronger(facts: Facts) -> Iterator[Worry]:
    """Other models that are no worse."""
    accuracy = plain_accuracy(facts.metrics["test"])["accuracy"]
    for name, metrics in facts.metrics["baselines"].items():
        other = plain_accuracy(metrics).get("accuracy")  # a run's may be at a threshold too
        if metrics != facts.baseline and other is not None and other >= accuracy:
            yield Worry(
                f"The baseline {name} is right on {percent(other)}: the model is no better.",
                f"Use the simpler model, or try {_other(facts)}.",
            )


def _leaks(facts: Facts) -> Iterator[Worry]:
    copies, unit = facts.data.copies, facts.unit
    if copies.seen:
        yield Worry(
            f"Test {unit}s that are also in train or val: {copies.seen:,}. The test metrics "
            "flatter the model.",
            "Keep one copy of each (they are listed in the data card); --strict refuses such data.",
        )
    elif copies.leaks:
        yield Worry(
            f"{unit.capitalize()}s that are in train and in val: {len(copies.leaks):,}. The val "
            "metrics flatter the model, and choose too late an epoch.",
            "Keep one copy of each (they are listed in the data card); --strict refuses such data.",
        )
    if copies.torn:
        yield Worry(
            f"Groups that lie in several splits: {len(copies.torn):,}. The metrics may flatter the "
            "model.",
            "Keep all examples of a group in one split; --strict refuses such data.",
        )


def _data_worries(facts: Facts) -> Iterator[Worry]:
    copies, unit = facts.data.copies, facts.unit
    if copies.conflicts:
        yield Worry(
            f"{unit.capitalize()}s with two labels: {len(copies.conflicts):,}.",
            "Correct the labels; they are listed in the data card.",
        )
    if copies.within.get("test"):
        yield Worry(
            f"Exact copies within the test split: {copies.within['test']:,}. Intervals count "
            f"distinct {unit}s.",
            "Remove the copies.",
        )
    if facts.data.bad_count:
        yield Worry(
            f"Left out because it cannot be read: {facts.data.bad_count:,} {unit}s.",
            "See the data card for the reasons, and repair or remove them.",
        )


def _class_hints(facts: Facts, found: Classes) -> Iterator[Worry]:
    test, names = facts.metrics["test"], found.predicted.names
    accuracy = test["accuracy"]
    # A threshold gives up one class for the other, as it was asked to.
    chosen = test.get("threshold", {}).get("value") is not None
    weak = [
        names[place]
        for place, share in enumerate(found.recalls)
        if not chosen
        and share.interval is not None
        and share.interval[1] < accuracy
        and accuracy - (share.value or 0.0) > WEAK
    ]
    if weak:
        yield Worry(
            f"{_listed(weak)}: found much less often than the average {facts.unit}.",
            "Look at these mistakes, and collect more training examples like them.",
        )
    few = [name for name, share in zip(names, found.recalls, strict=True) if 0 < share.n < FEW]
    if few:
        yield Worry(
            f"{_listed(few)}: fewer than {FEW} test examples, so their recall says little.",
            "Add test examples of them.",
        )
    over = found.reliability.overconfidence
    if found.reliability.ece > MISCALIBRATED:
        how = "overconfident" if over > 0 else "underconfident"
        yield Worry(
            f"The model is {how}: its probabilities differ from its accuracy by "
            f"{100 * found.reliability.ece:.1f} points on average (ECE).",
            "Do not read probabilities as chances; rank by them, or set a threshold by the "
            "risk-coverage table.",
        )
    sizes = [n for n in facts.data.train.values() if n]
    if sizes and max(sizes) >= UNEVEN * min(sizes):
        smallest = min(facts.data.train, key=lambda name: facts.data.train[name] or np.inf)
        yield Worry(
            f"The largest class has {max(sizes) / min(sizes):.0f} times the training examples of "
            f"the smallest ({quoted(smallest)}).",
            "Collect more examples of the small classes; judge by balanced accuracy and macro F1.",
        )


def _training_worries(facts: Facts) -> Iterator[Worry]:
    trained = facts.training
    train, val = trained.value("accuracy"), trained.value("val_accuracy")
    if train is not None and val is not None and train - val > GAP:
        yield Worry(
            f"It is right on {percent(train)} of the train split but on {percent(val)} of the val "
            "split: it overfits.",
            f"More training {facts.unit}s{MEANS.get(facts.unit, '')} narrow that gap; kt-recipe "
            f"curve says what more {facts.unit}s would bring."
            if trained.trained
            else f"More training {facts.unit}s narrow that gap; kt-recipe curve says by how much.",
        )
    yield from _stage_worries(trained)


def _stage_worries(trained: Training) -> Iterator[Worry]:
    last = len(trained.rows) - 1
    if trained.chosen is not None and len(trained.ends) > 1 and trained.chosen < trained.ends[-2]:
        stage = quoted(trained.rows[-1]["stage"])
        yield Worry(
            f"The stage {stage} brought nothing: an epoch before it is the best by "
            f"{trained.monitor}.",
            "Leave that stage out, or give it another rate or other layers to train.",
        )
    # A rate that decays to nearly 0 makes the last epoch the best one in most cases.
    rates = [row.get("learning_rate") for row in trained.rows[-2:]]
    constant = None not in rates and rates[-1] == rates[0]
    several = trained.ends[-1] - (trained.ends[-2] if len(trained.ends) > 1 else 0) > 1
    if trained.trained and trained.chosen == last and several and constant:
        yield Worry(
            f"The last epoch was the best one by {trained.monitor}: it was still improving.",
            "Train longer, e.g. with twice the --epochs.",
        )
