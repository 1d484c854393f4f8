"""Probabilities that mean what they say: one temperature, or a rising curve for each label."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_softmax, softmax

from keras_transfer.evaluation.isotonic import Curves, fit_curves

__all__ = ["BOUNDS", "LEAST", "Calibration", "calibrate", "fit_temperature", "log_losses"]

BOUNDS = (0.1, 10.0)
"""Temperatures are kept within; networks that train at all lie between about 0.5 and 3."""

LEAST = 100
"""Examples below which no temperature is fitted."""

MISTAKES = 5
"""Wrong answers below which none is fitted: they alone say how sure is too sure."""

FOLDS = 5


class Calibration(NamedTuple):
    """A temperature or curves, and what they rest on.

    Attributes:
        temperature: T above 0, by which the network's outputs are divided; 1: nothing changes.
        examples: Number of validation examples with known labels.
        before: Log loss of the validation split at temperature 1; None: not computed.
        after: The same by cross-validation, with temperatures fitted on the other folds.
        reason: Why nothing changes; empty if something was fitted.
        curves: Of labels; None: a temperature.
        candidates: Log loss by cross-validation of each method that was tried, by name.
    """

    temperature: float
    examples: int
    before: float | None = None
    after: float | None = None
    reason: str = ""
    curves: Curves | None = None
    candidates: dict[str, float] | None = None

    @property
    def method(self) -> str:
        """What was fitted."""
        return "temperature" if self.curves is None else "isotonic"

    @property
    def changes(self) -> bool:
        """Whether probabilities change."""
        return self.curves is not None or self.temperature != 1

    def apply(self, outputs: np.ndarray) -> np.ndarray:
        """(n, units) calibrated outputs of (n, units) outputs, before the activation."""
        if self.curves is not None:
            return self.curves.apply(outputs)
        return outputs * float(np.float32(1 / self.temperature))  # float32, as the layer has it


def log_losses(outputs: np.ndarray, true: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Negative log-likelihood of each example.

    Args:
        outputs: (n, units) float, before the activation.
        true: (n,) int classes (softmax); or (n, labels) float 0 or 1 (sigmoid, whose labels are
            averaged).
        temperature: T above 0.

    Returns:
        (n,) float64.
    """
    scaled = np.asarray(outputs, float) / temperature
    if np.ndim(true) == 1:
        return -log_softmax(scaled, axis=1)[np.arange(len(true)), true]
    return (np.logaddexp(0, scaled) - true * scaled).mean(axis=1)


def fit_temperature(outputs: np.ndarray, true: np.ndarray) -> float:
    """The temperature with the lowest mean log loss, within ``BOUNDS``.

    The loss is convex in b = 1 / T (Guo et al. 2017, arXiv:1706.04599, section 4.2), so its
    minimum is where the derivative is 0: for a softmax the mean of ``sum_k p_k z_k - z_true``, for
    a sigmoid that of ``(p - y) z``, with p at ``b z``.

    Args:
        outputs: As for ``log_losses``, n > 0.
        true: As for ``log_losses``.
    """
    logits = np.asarray(outputs, float)

    def slope(b: float) -> float:
        if np.ndim(true) == 1:
            wanted = logits[np.arange(len(true)), true]
            return float(((softmax(b * logits, axis=1) * logits).sum(axis=1) - wanted).mean())
        return float(((expit(b * logits) - true) * logits).mean())

    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    if slope(low) >= 0:
        return BOUNDS[1]
    if slope(high) <= 0:
        return BOUNDS[0]
    return 1 / float(brentq(slope, low, high, xtol=1e-9))


def _by_temperature(outputs: np.ndarray, true: np.ndarray) -> Calibration:
    return Calibration(fit_temperature(outputs, true), len(true))


def _by_curves(outputs: np.ndarray, true: np.ndarray) -> Calibration:
    return Calibration(1.0, len(true), curves=fit_curves(outputs, true))


FITTED: dict[str, tuple[Callable[[np.ndarray, np.ndarray], Calibration], ...]] = {
    "temperature": (_by_temperature,),
    "isotonic": (_by_curves,),
    "auto": (_by_temperature, _by_curves),
}
"""By the setting ``calibrate``; of several the best by cross-validation."""


def calibrate(
    outputs: np.ndarray,
    true: np.ndarray,
    families: np.ndarray | None = None,
    method: str = "temperature",
) -> Calibration:
    """Fit a temperature or curves to the validation split, if cross-validation says that it helps.

    Nothing changes with fewer than ``LEAST`` examples or ``MISTAKES`` wrong answers; and where what
    is fitted on four fifths of the examples does not lower the log loss of the others by more than
    a standard error. For networks that need no temperature any easier rule raised the log loss on
    other data (docs/calibration.md).

    Args:
        outputs: As for ``log_losses``.
        true: As for ``log_losses``.
        families: (n,) copies of an example have the same value and lie in one fold.
        method: A row of ``FITTED``; curves are for labels.
    """
    n = len(true)
    what = "a temperature" if method == "temperature" else "calibration"
    if n < LEAST:
        return Calibration(1.0, n, reason=f"{what} takes {LEAST} labelled val examples")
    if (wrong := _wrong(outputs, true)) < MISTAKES:
        reason = f"{wrong} answers on the val split are wrong, and {what} takes {MISTAKES}"
        return Calibration(1.0, n, reason=reason)
    plain = log_losses(outputs, true)
    copies = np.arange(n) if families is None else families
    held_out = {fit: _cross_validated(outputs, true, copies, fit) for fit in FITTED[method]}
    best = min(held_out, key=lambda fit: held_out[fit].mean())
    before, after = float(plain.mean()), float(held_out[best].mean())
    if before - after <= (plain - held_out[best]).std() / np.sqrt(n):
        reason = f"{what} does not clearly lower the log loss by cross-validation"
        return Calibration(1.0, n, before, after, reason)
    found = best(outputs, true)
    names = dict(zip(("temperature", "isotonic"), FITTED["auto"], strict=True))
    tried = {name: float(held_out[fit].mean()) for name, fit in names.items() if fit in held_out}
    return found._replace(before=before, after=after, candidates=tried)


def _wrong(outputs: np.ndarray, true: np.ndarray) -> int:
    if np.ndim(true) == 1:
        return int((outputs.argmax(axis=1) != true).sum())
    return int(((outputs > 0) != (true > 0)).sum())


def _cross_validated(
    outputs: np.ndarray,
    true: np.ndarray,
    families: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], Calibration],
) -> np.ndarray:
    """(n,) log losses by what was fitted without the example's fold."""
    number = np.unique(families, return_inverse=True)[1]
    # A fixed seed: the same predictions always have the same temperature.
    fold = (np.random.default_rng(0).permutation(number.max() + 1) % FOLDS)[number]
    losses = log_losses(outputs, true)
    for held in range(FOLDS):
        rest = fold != held
        if rest.all() or not rest.any():  # fewer families than folds
            continue
        found = fit(outputs[rest], true[rest])
        losses[~rest] = log_losses(found.apply(outputs[~rest]), true[~rest])
    return losses
