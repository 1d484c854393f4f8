"""What estimators of several domains have in common: rows of features, and where each comes from.

``sample_domain`` is an array of ints beside the rows, as in skada: positive for a source domain,
negative for a target domain. scikit-learn's metadata routing can carry it through a pipeline.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_transfer.errors import BadConfiguration, BadFeatures

__all__ = ["DomainEstimator", "DomainTransformer", "components_within"]

SIDES = "1, 2, ... for rows of source domains and -1, -2, ... for rows of target domains"

LEAST = 2
"""Rows that a domain needs, so that they can vary."""


class DomainEstimator(BaseEstimator):
    """Base of estimators that are fitted to rows of source and target domains.

    Attributes:
        domains_: (domains,) int, the distinct values of ``sample_domain``, ascending.
        n_features_in_: Number of columns.
    """

    def _fitting(self, X: ArrayLike, sample_domain: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Rows and their domains for fit: (n, channels) float64, (n,) int of both signs."""
        rows = self._rows(X, fitting=True)
        domain = _domains(sample_domain, len(rows))
        for side, member in (("source", domain > 0), ("target", domain < 0)):
            count = int(member.sum())
            if count < LEAST:
                raise BadFeatures(
                    f"{type(self).__name__} compares source and target domains, and "
                    f"{count} sample{' is' if count == 1 else 's are'} of a {side} domain, of "
                    f"{len(rows)}. Give {LEAST} or more of each: in sample_domain {SIDES}."
                )
        self.domains_ = np.unique(domain)
        return rows, domain

    def _rows(self, X: ArrayLike, *, fitting: bool = False) -> np.ndarray:
        """(n, channels) float64 without NaN, with as many columns as in fit."""
        try:
            rows = validate_data(self, X, reset=fitting, dtype="float64", ensure_all_finite=False)
        except ValueError as error:
            raise BadFeatures(str(error)) from error
        broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(broken):
            raise BadFeatures(
                f"{type(self).__name__} needs numbers, and {len(broken)} of {len(rows)} rows "
                "contain NaN or inf. Leave these rows out, or fill in what is missing:",
                [f"row {row}" for row in broken],
            )
        return rows


class DomainTransformer(TransformerMixin, DomainEstimator):
    """Base of transformers of features that bring source and target domains together.

    All sources together are the source, and all targets together the target. A subclass has
    ``_fit(rows, labels, domain)`` and ``_transform(rows, domain)``.
    """

    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, *, sample_domain: ArrayLike
    ) -> DomainTransformer:
        """Learn from rows of both domains, in any order.

        Args:
            X: (n, channels) float features.
            y: (n,) labels, for methods that need those of the source. Labels of target rows are
                never read; they may be anything.
            sample_domain: (n,) int, positive for source rows, negative for target rows.

        Returns:
            The estimator.

        Raises:
            BadFeatures: Rows, labels or domains that cannot be used; also a ValueError.
            BadConfiguration: A setting does not suit the rows.
        """
        rows, domain = self._fitting(X, sample_domain)
        self._fit(rows, y, domain)
        return self

    def transform(self, X: ArrayLike, *, sample_domain: ArrayLike | None = None) -> np.ndarray:
        """Transform rows, also ones that were not there in fit.

        Args:
            X: (m, channels) float features.
            sample_domain: (m,) int; without it all rows are of the target, where the model works.

        Returns:
            (m, components) float64, in the order of the rows.

        Raises:
            BadFeatures: Rows or domains that cannot be used; also a ValueError.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        if sample_domain is None:
            # The lowest one is of a target.
            return self._transform(rows, np.full(len(rows), self.domains_[0]))
        return self._transform(rows, _domains(sample_domain, len(rows)))

    def fit_transform(
        self, X: ArrayLike, y: ArrayLike | None = None, *, sample_domain: ArrayLike
    ) -> np.ndarray:
        """Fit, and transform the same rows, each as one of its own domain."""
        fitted = self.fit(X, y, sample_domain=sample_domain)
        return fitted.transform(X, sample_domain=sample_domain)

    def _fit(self, rows: np.ndarray, labels: Any, domain: np.ndarray) -> None:
        raise NotImplementedError

    def _transform(self, rows: np.ndarray, domain: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def components_within(asked: int | None, rank: int, usual: int | None = None) -> int:
    """Number of components: as asked, else the usual one or the rank, whichever is less.

    Raises:
        BadConfiguration: More are asked for than the rows span, or none.
        BadFeatures: The rows span nothing.
    """
    if not rank:
        raise BadFeatures("All rows of a domain are equal, or all are 0: give features that vary.")
    if asked is None:
        return min(usual or rank, rank)
    if not 1 <= asked <= rank:
        raise BadConfiguration(
            f"n_components is {asked}, and the rows span {rank} directions. Give 1 to {rank}, or "
            "more rows."
        )
    return asked


def _domains(sample_domain: ArrayLike, n: int) -> np.ndarray:
    """(n,) int, positive or negative."""
    domain = np.asarray(sample_domain)
    if domain.shape != (n,):
        raise BadFeatures(
            f"sample_domain has the shape {domain.shape}, and there are {n} rows. Give one number "
            f"for each row: {SIDES}."
        )
    with np.errstate(invalid="ignore"):  # NaN, which is found below
        whole = domain.astype("int64") if domain.dtype.kind in "biuf" else np.zeros(n, "int64")
    wrong = (whole == 0) | (whole != domain)
    if wrong.any():
        raise BadFeatures(
            f"{domain[wrong].tolist()[0]!r} in sample_domain is no domain. Give {SIDES}."
        )
    return whole
