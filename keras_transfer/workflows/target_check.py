"""Whether an adaptation has a target, before anything is loaded or trained."""

from __future__ import annotations

import glob
import os
from typing import Any

from keras_transfer.data import sources
from keras_transfer.errors import BadConfiguration
from keras_transfer.methods.adaptation import Adaptation

__all__ = ["check_target"]


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
