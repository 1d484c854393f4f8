"""Whether an adaptation has a target, before anything is loaded or trained."""

from __future__ import annotations

import glob

from keras_transfer.data import sources
from keras_transfer.errors import BadConfiguration
from keras_transfer.methods.adaptation import Adaptation

__all__ = ["check_target"]


def check_target(method: Adaptation) -> None:
    """Refuse an adaptation without a target, or to one that does not exist.

    Raises:
        BadConfiguration: There is no target.
        BadData: A path does not exist.
    """
    if not method.target_data:
        raise BadConfiguration(
            f"method = {method.type} adapts to a target domain, and none is given. Name its "
            "examples: --target-data DIR. They need no labels."
        )
    if not glob.has_magic(method.target_data):
        sources.check_there(method.target_data)
