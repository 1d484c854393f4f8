"""What criteria without target labels choose, on a pair of domains whose labels are all known.

    python -m benchmarks criteria MNIST_vs_USPS.mat --seeds 10

A MATLAB 7.3 file with Xs, Ys, Xt, Yt. The models are logistic regressions on 18 adaptations of the
features, fitted to a part of the source. Each seed draws this part (60 %; the others validate) and
60 % of the target, for which the models adapt and are evaluated.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks._report import paired, report, shown

COMPONENTS = (5, 10, 20, 40, 80)
STRENGTHS = (0.1, 1, 10, 100)


def main():
    """Print the table and write it to results/criteria.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    rows = []
    for direction, source, target in directions(given.file):
        found = [measured(seed, source, target) for seed in range(given.seeds)]
        plain = [accuracies["plain"] for accuracies, _ in found]
        for chooser in found[0][0]:
            chosen = [accuracies[chooser] for accuracies, _ in found]
            ranks = [ranks[chooser] for _, ranks in found if chooser in ranks]
            rows.append(
                (
                    direction,
                    chooser,
                    float(np.mean(chosen)),
                    shown(paired(chosen, plain)),
                    shown(paired(ranks, np.zeros(len(ranks)))) if ranks else None,
                )
            )
    columns = ("direction", "chosen by", "accuracy", "to plain features", "rank correlation")
    report("criteria", columns, rows, seeds=given.seeds)


def directions(path):
    """Name, source and target; each of these is features of unit length and classes from 0."""
    import h5py
    from sklearn.preprocessing import normalize

    with h5py.File(path) as file:
        one, other = (
            (normalize(file[f"X{s}"][:]), np.unique(file[f"Y{s}"][0], return_inverse=True)[1])
            for s in "st"
        )
    return [("s -> t", one, other), ("t -> s", other, one)]


def measured(seed, source, target):
    """Target accuracy of what each chooser chooses, and rank correlations with the accuracy."""
    from scipy.stats import spearmanr

    from keras_transfer.domains.selection import CRITERIA

    accuracies, values = [], defaultdict(list)
    for evidence, labels in models(seed, source, target):
        accuracies.append(float((evidence.target_probabilities.argmax(axis=1) == labels).mean()))
        for name, criterion in CRITERIA.items():
            values[name].append(criterion(evidence))
    chosen = {
        "plain": accuracies[0],
        "chance": float(np.mean(accuracies)),
        **{name: accuracies[int(np.argmax(scores))] for name, scores in values.items()},
        "target labels": max(accuracies),
    }
    ranks = {name: spearmanr(scores, accuracies)[0] for name, scores in values.items()}
    return chosen, ranks


def models(seed, source, target):
    """Evidence of each model, the one on plain features first, and the target's labels."""
    from sklearn.model_selection import train_test_split

    from keras_transfer.domains.selection import Evidence

    draw = {"train_size": 0.6, "random_state": seed}
    train, held, y, held_labels = train_test_split(*source, stratify=source[1], **draw)
    new, _, labels, _ = train_test_split(*target, stratify=target[1], **draw)
    rows, domain = np.concatenate([train, new]), np.repeat([1, -1], [len(train), len(new)])
    known = np.concatenate([y, np.full(len(new), -1)])
    for transformer in (None, *transformers()):
        moved, other = rows, held
        if transformer is not None:
            moved = transformer.fit_transform(rows, known, sample_domain=domain)
            other = transformer.transform(held, sample_domain=np.ones(len(held), int))
        before, after = moved[domain > 0], moved[domain < 0]
        predict = head(before, y, other, held_labels).predict_proba
        yield Evidence(other, predict(other), held_labels, after, predict(after), before), labels


def transformers():
    """Adaptations of features."""
    from keras_transfer.domains import subspaces, tca

    yield from (subspaces.CORAL(), subspaces.PerDomainStandardization())
    for components in COMPONENTS:
        yield subspaces.SubspaceAlignment(components)
        yield from (tca.TCA(components), tca.JDA(components))


def head(rows, labels, held, held_labels):
    """Logistic regression, with the C of the lowest log loss on held-out source rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    scale = 0.01 / rows.var()  # features of TCA are tiny, standardized ones are not
    heads = [LogisticRegression(C=c * scale, max_iter=2000) for c in STRENGTHS]
    return min(
        (each.fit(rows, labels) for each in heads),
        key=lambda fitted: log_loss(held_labels, fitted.predict_proba(held)),
    )
