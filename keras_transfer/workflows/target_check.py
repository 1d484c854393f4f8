"""Whether data besides those of the run are there, before anything is loaded or trained."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Any

from keras_transfer.data import sources
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.methods.adaptation import Adaptation
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.objectives.rejection import UNKNOWN
from keras_transfer.workflows.thresholds import check_thresholds

__all__ = ["check_decisions", "check_target", "check_unknown"]


def check_target(method: Adaptation, source: Any) -> None:
    """Refuse an adaptation without a target, or to one that does not exist or is the source.

    Args:
        method: Settings of the adaptation.
        source: The data of the run: a spec, arrays or samples.

    Raises:
        BadConfiguration: There is no target, or it is the source.
        BadData: A path does not exist.
    """
    if not method.target_data:
        raise BadConfiguration(
            f"method = {method.type} adapts to a target domain, and none is given. Name its "
            "examples: --target-data DIR. They need no labels."
        )
    if not glob.has_magic(method.target_data):
        sources.check_there(method.target_data)
    if isinstance(source, str | os.PathLike) and os.path.realpath(source) == os.path.realpath(
        method.target_data
    ):
        raise BadConfiguration(
            f"The target is {method.target_data}, and so is the source. Name examples of another "
            "domain: --target-data DIR."
        )


def check_unknown(
    objectives: Mapping[str, Objective], classes: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse unknown data that do not exist, and a class that is called as what is not known.

    Args:
        objectives: By the name of the output.
        classes: Names of their units, once they are read.

    Raises:
        BadConfiguration: A class is called "unknown".
        BadData: The path does not exist.
    """
    for name, objective in objectives.items():
        reject = getattr(objective, "reject", None)
        if reject is None or not reject.wanted:
            continue
        if reject.unknown_data is not None and not glob.has_magic(reject.unknown_data):
            sources.check_there(reject.unknown_data)
        if UNKNOWN in classes.get(name, ()):
            raise BadConfiguration(
                f"A class of the data is called {UNKNOWN!r}, which is also what reject answers. "
                "Rename the class, or train it as a class of its own without reject."
            )


def check_decisions(objectives: Mapping[str, Objective], samples: Samples) -> None:
    """Refuse what the data do not allow to be decided: ``check_unknown``, ``check_thresholds``.

    Args:
        objectives: By the name of the output.
        samples: With all their splits.
    """
    check_unknown(objectives, {name: labels_of(samples, name).names for name in objectives})
    check_thresholds(objectives, samples)
