"""Names of the criteria that need no target labels, for modules that must not import SciPy."""

from typing import Literal, get_args

__all__ = ["CRITERION_NAMES", "CriterionName"]

CriterionName = Literal[
    "information_maximization",
    "entropy",
    "soft_neighborhood_density",
    "source",
    "importance_weighted",
    "deep_embedded",
    "reverse_validation",
]

CRITERION_NAMES: tuple[str, ...] = get_args(CriterionName)
"""Keys of ``keras_transfer.domains.selection.CRITERIA``; the first is the recommended one."""
