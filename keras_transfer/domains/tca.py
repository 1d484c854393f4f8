"""Linear projections in which the means of two domains agree, of all rows and of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from keras_transfer.domains.base import DomainTransformer, components_within
from keras_transfer.domains.decomposition import decomposed, with_signs
from keras_transfer.errors import BadConfiguration, BadFeatures

__all__ = ["JDA", "TCA"]

COMPONENTS = 100
"""As in the experiments of Long et al. (2013)."""


class TCA(ClassNamePrefixFeaturesOutMixin, DomainTransformer):
    """Transfer component analysis (Pan et al., IEEE Transactions on Neural Networks 2011).

    With rows x_i as columns of X, the projections v keep the variance of all rows and make the
    means of the domains agree:

        (X H X') v = w (X M X' + regularization I) v

    for the largest w, where H = I - 1/n centres, and M = e e' / |e e'|, with e = 1 / n_source on
    source rows and -1 / n_target on target rows, so that v' e e' v is the squared distance of the
    projected means, the MMD with a linear kernel. Each v has unit length; a new row x of either
    domain becomes V' x. This is the linear ("primal") form of Long et al. (ICCV 2013), whose
    results it reproduces. For another kernel k give k(rows, fitted rows) as features, with
    ``normalize=False``.

    Where it pulls domains apart that plain features hold together, it makes a classifier worse:
    compare with one on plain features.

    Args:
        n_components: Number of projections; None: 100, or the rank of the rows if that is less.
        regularization: Above 0. A small one trusts the distance of the means more.
        normalize: Scale each row to unit length first, so that ``regularization`` means the same
            for all features.

    Attributes:
        components_: (n_components, channels), of unit length.
        eigenvalues_: (n_components,) w, descending.
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        regularization: float = 0.1,
        normalize: bool = True,
    ):
        self.n_components = n_components
        self.regularization = regularization
        self.normalize = normalize

    def _fit(self, rows: np.ndarray, labels: Any, domain: np.ndarray) -> None:
        problem = self._problem(rows)
        between = _contrast(domain > 0, domain < 0)
        self.components_, self.eigenvalues_ = problem.solve([between])

    def _transform(self, rows: np.ndarray, domain: np.ndarray) -> np.ndarray:
        return self._scaled(rows) @ self.components_.T

    def _problem(self, rows: np.ndarray) -> _Problem:
        return _Problem(self._scaled(rows), self.n_components, self.regularization)

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        return normalize(rows) if self.normalize else rows

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)


class JDA(TCA):
    """Joint distribution adaptation (Long et al., ICCV 2013).

    TCA whose M is C e e' + the sum over the C classes of e_c e_c', divided by its Frobenius norm,
    with e_c = 1 / n_source,c on source rows of class c and -1 / n_target,c on target rows that a
    1-nearest-neighbour classifier on the projected source rows assigns to c. Labels of target rows
    and projections are found in turn, beginning with the projections of TCA; a class that no
    target row is assigned to has no term. Projected rows are scaled to unit length.

    Args:
        n_components: Number of projections; None: 100, or the rank of the rows if that is less.
        regularization: Above 0. A small one trusts the distance of the means more.
        normalize: Scale each row to unit length first.
        max_iter: Most solutions; assignments that do not change end it.

    Attributes:
        components_: (n_components, channels), of unit length.
        eigenvalues_: (n_components,) w, descending.
        target_labels_: (n_target,) class of each target row of fit, in their order, by the
            classifier on the last projections.
        n_iter_: Number of solutions.
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        regularization: float = 0.1,
        normalize: bool = True,
        max_iter: int = 10,
    ):
        super().__init__(n_components, regularization=regularization, normalize=normalize)
        self.max_iter = max_iter

    def _fit(self, rows: np.ndarray, labels: Any, domain: np.ndarray) -> None:
        if self.max_iter < 1:
            raise BadConfiguration(f"max_iter is {self.max_iter}: give 1 or more.")
        source, target = domain > 0, domain < 0
        known = _source_labels(labels, source)
        problem = self._problem(rows)
        contrasts = [_contrast(source, target)]
        assigned = np.empty(0, known.dtype)
        for iteration in range(1, self.max_iter + 1):
            self.n_iter_ = iteration
            self.components_, self.eigenvalues_ = problem.solve(contrasts)
            projected = self._transform(rows, domain)
            nearest = KNeighborsClassifier(1).fit(projected[source], known)
            before, assigned = assigned, nearest.predict(projected[target])
            # The same labels would give the same projections.
            if np.array_equal(before, assigned):
                break
            contrasts = _contrasts(known, assigned, source)
        self.target_labels_ = assigned

    def _transform(self, rows: np.ndarray, domain: np.ndarray) -> np.ndarray:
        return normalize(super()._transform(rows, domain))


class _Problem:
    """The eigenproblem, reduced to the directions that the rows span.

    Rows are X = L S R'. An eigenvector with w > 0 lies in the span of R, so that v = R a, and a
    solves the same problem for the rows L S: rank x rank, however many rows or columns there are.

    Args:
        rows: (n, channels).
        n_components: As in TCA.
        regularization: As in TCA.
    """

    def __init__(self, rows: np.ndarray, n_components: int | None, regularization: float):
        if not regularization > 0:
            raise BadConfiguration(
                f"regularization is {regularization}: give a number above 0, as 0.1."
            )
        left, singular, self.basis = decomposed(rows)
        self.rows = left * singular
        self.n = components_within(n_components, len(singular), COMPONENTS)
        self.ridge = regularization * np.eye(len(singular))
        centred = self.rows - self.rows.mean(axis=0)
        self.scatter = centred.T @ centred

    def solve(self, contrasts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Components and eigenvalues, for M = the sum of e e' of (n,) contrasts e, scaled."""
        stacked = np.stack(contrasts)
        # Of M = E'E, the norm |E'E| = |EE'| needs no n x n matrix.
        means = stacked @ self.rows / np.sqrt(np.linalg.norm(stacked @ stacked.T))
        rank = len(self.ridge)
        values, vectors = eigh(
            self.scatter,
            means.T @ means + self.ridge,
            subset_by_index=(rank - self.n, rank - 1),
        )
        components = normalize(vectors.T[::-1] @ self.basis)
        return with_signs(components), values[::-1]


def _contrast(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n,) e, for which e X is the difference of two means: of the rows marked by two masks."""
    return source / source.sum() - target / target.sum()


def _contrasts(known: np.ndarray, assigned: np.ndarray, source: np.ndarray) -> list[np.ndarray]:
    """Those of JDA, from labels of source rows and of target rows, and a mask of the source."""
    labels = np.empty(len(source), known.dtype)
    labels[source], labels[~source] = known, assigned
    classes = np.unique(known)
    # sqrt(C) e counts as C e e'.
    return [np.sqrt(len(classes)) * _contrast(source, ~source)] + [
        _contrast(source & (labels == label), ~source & (labels == label))
        for label in np.intersect1d(classes, assigned)
    ]


def _source_labels(labels: ArrayLike | None, source: np.ndarray) -> np.ndarray:
    """(n_source,) labels of the source rows; those of the target are not looked at."""
    if labels is None:
        raise BadFeatures(
            "JDA needs y, the labels of the source rows (those of target rows may be anything); "
            "TCA needs none."
        )
    every = np.asarray(labels)
    if every.shape != source.shape:
        raise BadFeatures(
            f"y has the shape {every.shape}, and there are {len(source)} rows. Give one label for "
            "each row; for target rows any."
        )
    known = every[source]
    # Unlike any label, NaN is not equal to itself.
    missing = np.array([label is None or bool(label != label) for label in known])
    if missing.any():
        raise BadFeatures(
            f"{missing.sum()} of {len(known)} source rows have no label. Leave them out.",
            [f"row {row}" for row in np.flatnonzero(source)[missing]],
        )
    # In the type of what is there: beside None, numbers and strings were objects.
    return np.array(known.tolist())
