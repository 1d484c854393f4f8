"""Import TensorFlow without its messages on the terminal, and OpenVINO without its reports."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["import_openvino", "import_tensorflow", "silenced"]

TELEMETRY = "openvino_telemetry"


@contextmanager
def silenced() -> Iterator[None]:
    """Redirect file descriptor 2, for C++ code that ignores the logging level.

    ``KT_VERBOSE=1`` lets everything through.
    """
    if os.environ.get("KT_VERBOSE"):
        yield
        return
    # Python's buffered text must go out first, or it would appear after the C++ output is hidden.
    with suppress(AttributeError, OSError):  # None where it is closed; nobody may read it any more
        sys.stderr.flush()
    # contextlib.redirect_stderr changes sys.stderr only; C++ writes to the descriptor.
    kept = _duplicate(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        # Where it was closed it stays open on nothing: else the next file that is opened would get
        # this number, and what C++ prints.
        if kept is not None:
            os.dup2(kept, 2)
            os.close(kept)
        if nowhere != 2:
            os.close(nowhere)


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # closed
        return None


@contextmanager
def _without_collections() -> Iterator[None]:
    """Disable garbage collection while modules load, which saves a fifth of the time.

    What has been loaded by then is never looked at again.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()


def import_tensorflow() -> None:
    """Import TensorFlow and Keras silently; later imports of them find them loaded.

    TensorFlow's C++ prints to file descriptor 2 before any logging level is read, so the
    descriptor itself is turned away while it loads. ``KT_VERBOSE=1`` lets everything through.
    """
    if sys.stderr is None:  # closed by 2>&-: progress bars and Keras write to it all the same
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if "tensorflow" in sys.modules or os.environ.get("KT_VERBOSE"):
        return
    # setdefault: a level that the user has set is kept.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silenced(), _without_collections():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.constant(0)  # creates the device context, which logs more
    tf.get_logger().setLevel("ERROR")


def import_openvino() -> None:
    """Import OpenVINO without reports to its makers; later imports of it find it loaded.

    ``import openvino`` sends an event over the network, from a process of its own. Where the
    package that does so is missing, OpenVINO does without it; so it is hidden meanwhile.
    """
    if "openvino" in sys.modules or TELEMETRY in sys.modules:
        return
    hidden: dict[str, Any] = sys.modules
    hidden[TELEMETRY] = None  # an import of it raises ImportError then
    try:
        import openvino  # noqa: F401
    finally:
        del hidden[TELEMETRY]
