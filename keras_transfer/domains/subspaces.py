"""Source features moved to where the target's lie: by subspace, covariance, or mean and scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import ClassNamePrefixFeaturesOutMixin, OneToOneFeatureMixin
from sklearn.covariance import empirical_covariance, ledoit_wolf, shrunk_covariance
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from keras_transfer.domains.base import LEAST, DomainTransformer, components_within
from keras_transfer.domains.decomposition import decomposed, with_signs
from keras_transfer.errors import BadConfiguration, BadFeatures

__all__ = ["CORAL", "PerDomainStandardization", "SubspaceAlignment"]


class SubspaceAlignment(ClassNamePrefixFeaturesOutMixin, DomainTransformer):
    """Subspace alignment (Fernando et al., ICCV 2013).

    With the first principal components of each domain as columns of P_s and P_t, source rows x
    become (x - m_s) P_s P_s' P_t and target rows (x - m_t) P_t, where m are the means.

    Args:
        n_components: Number of principal components; None: as many as the rows of both domains
            span.

    Attributes:
        source_mean_, target_mean_: (channels,).
        source_components_, target_components_: (n_components, channels), P_s' and P_t'.
    """

    def __init__(self, n_components: int | None = None):
        self.n_components = n_components

    def _fit(self, rows: np.ndarray, labels: Any, domain: np.ndarray) -> None:
        self.source_mean_, source = _principal(rows[domain > 0])
        self.target_mean_, target = _principal(rows[domain < 0])
        n = components_within(self.n_components, min(len(source), len(target)))
        self.source_components_, self.target_components_ = source[:n], target[:n]

    def _transform(self, rows: np.ndarray, domain: np.ndarray) -> np.ndarray:
        source, target = domain > 0, domain < 0
        result = np.empty((len(rows), len(self.target_components_)))
        aligned = self.source_components_ @ self.target_components_.T
        result[source] = (rows[source] - self.source_mean_) @ self.source_components_.T @ aligned
        result[target] = (rows[target] - self.target_mean_) @ self.target_components_.T
        return result

    @property
    def _n_features_out(self) -> int:
        return len(self.target_components_)


class CORAL(OneToOneFeatureMixin, DomainTransformer):
    """Correlation alignment (Sun et al., AAAI 2016).

    Source rows x become (x - m_s) C_s^(-1/2) C_t^(1/2) + m_t, with the mean and the covariance of
    the target; target rows stay as they are. The paper takes standardised features, whose means
    are 0, and covariances + I; here covariances are shrunk towards a multiple of I, which suits
    features of any scale.

    Args:
        shrinkage: "auto", by Ledoit and Wolf (2004) on columns of unit variance, or a number s
            from 0 to 1: (1 - s) C + s tr(C) / channels I. As ``shrinkage`` of scikit-learn's
            LinearDiscriminantAnalysis.

    Attributes:
        source_mean_, target_mean_: (channels,).
        mapping_: (channels, channels), C_s^(-1/2) C_t^(1/2).
    """

    def __init__(self, shrinkage: float | str = "auto"):
        self.shrinkage = shrinkage

    def _fit(self, rows: np.ndarray, labels: Any, domain: np.ndarray) -> None:
        source, target = rows[domain > 0], rows[domain < 0]
        self.source_mean_, self.target_mean_ = source.mean(axis=0), target.mean(axis=0)
        whitening = _power(self._covariance(source), -0.5)
        self.mapping_ = whitening @ _power(self._covariance(target), 0.5)

    def _covariance(self, rows: np.ndarray) -> np.ndarray:
        if self.shrinkage == "auto":
            scaler = StandardScaler().fit(rows)
            shrunk, _ = ledoit_wolf(scaler.transform(rows))
            return scaler.scale_[:, None] * shrunk * scaler.scale_
        if isinstance(self.shrinkage, str) or not 0 <= self.shrinkage <= 1:
            raise BadConfiguration(
                f"shrinkage is {self.shrinkage!r}: give 'auto' or a number from 0 to 1."
            )
        return shrunk_covariance(empirical_covariance(rows), self.shrinkage)

    def _transform(self, rows: np.ndarray, domain: np.ndarray) -> np.ndarray:
        source, result = domain > 0, rows.copy()
        result[source] = (rows[source] - self.source_mean_) @ self.mapping_ + self.target_mean_
        return result


class PerDomainStandardization(OneToOneFeatureMixin, DomainTransformer):
    """Mean 0 and variance 1 of each column, in every domain by itself.

    (x - m_d) / s_d, with the mean and standard deviation of the rows of domain d; a column that is
    constant there becomes 0. Several sources and targets are told apart by their numbers. It is to
    features what AdaBN (Li et al. 2016, arXiv:1603.04779) is to layers of a network. Where classes
    have other shares in the target, it moves them.

    Attributes:
        scalers_: A StandardScaler for each domain, by its number.
    """

    def _fit(self, rows: np.ndarray, labels: Any, domain: np.ndarray) -> None:
        numbers, counts = np.unique(domain, return_counts=True)
        if counts.min() < LEAST:
            raise BadFeatures(
                f"Domain {numbers[counts.argmin()]} has a single row, which has no variance. Add "
                "rows, or give them the number of another domain."
            )
        self.scalers_ = {int(one): StandardScaler().fit(rows[domain == one]) for one in numbers}

    def transform(self, X: ArrayLike, *, sample_domain: ArrayLike | None = None) -> np.ndarray:
        """Transform rows by the statistics of their domain, which was there in fit.

        Args:
            X: (m, channels) float features.
            sample_domain: (m,) int; without it all rows are of the target, if there is one only.

        Returns:
            (m, channels) float64, in the order of the rows.

        Raises:
            BadFeatures: Rows or domains that cannot be used; also a ValueError.
        """
        check_is_fitted(self)
        targets = self.domains_[self.domains_ < 0]
        if sample_domain is None and len(targets) > 1:
            raise BadFeatures(
                f"There are several targets, {_listed(targets)}: say by sample_domain which one "
                "each row is of."
            )
        return super().transform(X, sample_domain=sample_domain)

    def _transform(self, rows: np.ndarray, domain: np.ndarray) -> np.ndarray:
        unknown = np.setdiff1d(domain, self.domains_)
        if len(unknown):
            raise BadFeatures(
                f"sample_domain has {_listed(unknown)}, of which nothing is known: fit had "
                f"{_listed(self.domains_)}. Fit again with rows of all domains."
            )
        result = np.empty_like(rows)
        for one in np.unique(domain):
            result[domain == one] = self.scalers_[int(one)].transform(rows[domain == one])
        return result


def _principal(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (rank, channels) principal components, of descending variance."""
    mean = rows.mean(axis=0)
    return mean, with_signs(decomposed(rows - mean)[2])


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """C^exponent of a covariance, which must not be singular where the exponent is negative."""
    values, vectors = eigh(covariance)
    if exponent < 0 and values[0] <= len(values) * np.finfo("float64").eps * values[-1]:
        raise BadConfiguration(
            "The covariance of the source is singular: it has fewer rows than columns, or columns "
            "that depend on each other. Give shrinkage='auto', or a greater number."
        )
    # Rounding errors may leave a 0 slightly below.
    return (vectors * np.maximum(values, 0) ** exponent) @ vectors.T


def _listed(numbers: np.ndarray) -> str:
    return ", ".join(map(str, numbers))
