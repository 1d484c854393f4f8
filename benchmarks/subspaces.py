"""Adaptation of features on a pair of domains whose labels are all known.

    python -m benchmarks subspaces MNIST_vs_USPS.mat

A MATLAB 7.3 file with Xs, Ys, Xt, Yt. For both directions, accuracy on the target of 1-nearest
neighbour, and of an RBF SVM whose C and gamma are chosen by cross-validation on the source; rows
of unit length.
"""

import argparse
import sys
import warnings

import numpy as np

METHODS = ("plain", "PCA", "TCA", "JDA", "SA", "CORAL", "standardized", "KMM", "KLIEP")


def main():
    """Print the table as Markdown."""
    import h5py

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    with h5py.File(parser.parse_args().file) as file:
        first, second = ((file[f"X{s}"][:], file[f"Y{s}"][0]) for s in "st")
    # Weights of 0 may leave a class without rows, which is part of what is measured.
    warnings.simplefilter("ignore")
    print("| | direction | 1-NN | SVM | effective rows |\n|---|---|---|---|---|")
    for name, (source, target) in {"s -> t": (first, second), "t -> s": (second, first)}.items():
        for method in METHODS:
            print(f"| {method} | {name} | {' | '.join(measured(method, source, target))} |")
            sys.stdout.flush()


def measured(method, source, target):
    """Accuracies in percent, and the effective number of source rows, as texts."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize

    rows, labels = (np.concatenate(pair) for pair in zip(source, target, strict=True))
    domain = np.repeat([1, -1], [len(source[1]), len(target[1])])
    moved, weights = adapted(method, normalize(rows), np.where(domain > 0, labels, -1), domain)
    (x, y), (u, v) = ((moved[side], labels[side]) for side in (domain > 0, domain < 0))
    svm = f"{100 * tuned_svm(x, y, weights).score(u, v):.2f}"
    if weights is not None:
        return "-", svm, f"{weights.sum() ** 2 / (weights**2).sum():.0f} of {len(y)}"
    return f"{100 * KNeighborsClassifier(1).fit(x, y).score(u, v):.2f}", svm, "all"


def adapted(method, rows, labels, domain):
    """Features, and weights of the source rows or None."""
    from sklearn.decomposition import PCA

    from keras_transfer.domains import subspaces, tca, weighting

    if method in ("KMM", "KLIEP"):
        return rows, getattr(weighting, method)().fit(rows, sample_domain=domain).weights_
    if method == "plain":
        return rows, None
    if method == "PCA":
        return PCA(100, svd_solver="full").fit_transform(rows), None
    transformer = {
        "TCA": tca.TCA(100),
        "JDA": tca.JDA(100),
        "SA": subspaces.SubspaceAlignment(100),
        "CORAL": subspaces.CORAL(),
        "standardized": subspaces.PerDomainStandardization(),
    }[method]
    return transformer.fit_transform(rows, labels, sample_domain=domain), None


def tuned_svm(rows, labels, weights):
    """Without any label of the target."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import SVC

    scale = 1 / (rows.shape[1] * rows.var())
    grid = {"C": [1, 10, 100], "gamma": [0.1 * scale, 0.3 * scale, scale, 3 * scale]}
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(SVC(), grid, cv=folds).fit(rows, labels, sample_weight=weights)
