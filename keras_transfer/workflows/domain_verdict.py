"""The verdict of a comparison of domains: what differs, and whether it costs accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["verdict"]

FAR = 0.05
"""Lost accuracy from which a domain is called far."""
NOTICEABLE = 0.02
"""Estimated loss from which it is worth to label examples: the estimates are no better."""
LEAST = 0.01
"""Measured loss from which it is worth to adapt, if its interval is above 0."""

Found = Mapping[str, Any]


def verdict(found: Found) -> dict[str, Any]:
    """Name the shift, mainly by what is lost: a clear difference need not cost accuracy.

    Args:
        found: "label_shift", "distances", "distances_with_equal_shares" and "loss", as
            ``domain_measures`` gives them.

    Returns:
        "shift": "none", "label" (only the shares of the classes differ), "near" and "far" (the
        examples look different), or "disagreement" (they do not, but the labels do not fit the
        predictions as they do in the source); "lost", whether the loss is worth an action; "text".
    """
    loss, shift = found["loss"], found["label_shift"]
    apart = found["distances_with_equal_shares"] if shift["found"] else found["distances"]
    apart = apart or found["distances"]
    lost = _is_lost(loss)
    if apart["distinguishable"]:
        name = "far" if lost and loss["value"] >= FAR else "near"
    elif lost and loss["measured"]:
        name = "disagreement"
    else:
        # What is estimated follows from the shares where nothing else differs.
        name, lost = ("label" if shift["found"] else "none"), False
    return {"shift": name, "lost": lost, "text": _TEXTS[name](apart, loss, shift)}


def _is_lost(loss: Found) -> bool:
    if loss["measured"]:
        return loss["value"] >= LEAST and loss["low"] > 0
    return loss["value"] >= NOTICEABLE


def _none(apart: Found, loss: Found, shift: Found) -> str:
    return f"No shift: the domains cannot be told apart ({_distance(apart)}). {_lost(loss)}"


def _label(apart: Found, loss: Found, shift: Found) -> str:
    return (
        f"Label shift: the classes have other shares ({_shares(shift)}), and with equal shares the "
        f"domains cannot be told apart ({_distance(apart)}). {_lost(loss)}"
    )


def _near(apart: Found, loss: Found, shift: Found) -> str:
    return f"Near domain: the examples look different ({_distance(apart)}). {_lost(loss)}" + _also(
        shift
    )


def _far(apart: Found, loss: Found, shift: Found) -> str:
    return f"Far domain: the examples look different ({_distance(apart)}). {_lost(loss)}" + _also(
        shift
    )


def _disagreement(apart: Found, loss: Found, shift: Found) -> str:
    return (
        f"The domains cannot be told apart ({_distance(apart)}), but the labels of the target do "
        f"not fit. {_lost(loss)}" + _also(shift)
    )


_TEXTS = {
    "none": _none,
    "label": _label,
    "near": _near,
    "far": _far,
    "disagreement": _disagreement,
}


def _distance(apart: Found) -> str:
    low, high = apart["a_distance_low"], apart["a_distance_high"]
    return (
        f"MMD p = {apart['mmd_p_value']:.3f}; A-distance {apart['a_distance']:.2f} of 2, 95 % "
        f"interval {low:.2f} to {high:.2f}"
    )


def _lost(loss: Found) -> str:
    before, after = loss["source"], loss["source"] - loss["value"]
    how = "is" if loss["measured"] else "is estimated to be"
    # The difference, since "a loss of -0.01" reads badly.
    interval = f"{0 - loss['high']:+.3f} to {0 - loss['low']:+.3f}"
    if loss["measured"]:
        interval = f"95 % interval {interval}"
    return (
        f"The model's accuracy {how} {after:.3f} instead of {before:.3f}, a difference of "
        f"{0 - loss['value']:+.3f} ({interval})."
    )


def _shares(shift: Found) -> str:
    rows = [
        (row["class"], row["source"], row["estimated"] if row["target"] is None else row["target"])
        for row in shift["classes"]
    ]
    # The classes that change most.
    rows = sorted(rows, key=lambda row: -abs(row[2] - row[1]))[:3]
    shown = ", ".join(f"{name} {after:.2f} instead of {before:.2f}" for name, before, after in rows)
    return f"{shown}; p = {shift['p_value']:.3f}"


def _also(shift: Found) -> str:
    if not shift["found"]:
        return ""
    if shift["by"] == "labels":
        return (
            f" The classes have other shares too ({_shares(shift)}); the distances and the loss "
            "are those at equal shares."
        )
    return (
        " The predicted classes have other shares too, but that may be because the examples look "
        "different: without labels the shares of the classes are not known. If they are those of "
        f"the source, {100 * shift['least_error']:.0f} % of the predictions are wrong at least."
    )
