"""All checks in order; one that fails is a finding itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keras_transfer.doctor.finding import Finding, problem
from keras_transfer.doctor.hardware import check_cpu, check_gpus, check_memory
from keras_transfer.doctor.installation import check_extras, check_packages, check_python
from keras_transfer.doctor.places import check_folders, check_proxies, check_weights
from keras_transfer.doctor.self_test import check_training
from keras_transfer.errors import TransferError

__all__ = ["diagnose"]

CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "python": check_python,
    "packages": check_packages,
    "extras": check_extras,
    "cpu": check_cpu,
    "gpu": check_gpus,
    "memory": check_memory,
    "folders": check_folders,
    "weights": check_weights,
    "proxies": check_proxies,
    "self-test": check_training,
}


def diagnose(self_test: bool = True) -> Iterator[Finding]:
    """Look at the machine.

    Args:
        self_test: Whether to train, export and predict too, which takes about ten seconds.

    Yields:
        Findings, as soon as they are made.
    """
    for name, check in CHECKS.items():
        if name == "self-test" and not self_test:
            continue
        try:
            yield from check()
        except TransferError as error:
            yield problem(name, str(error), "Mend what it says.")
        except ImportError as error:
            cure = "Reinstall in a new virtual environment: pip install keras_transfer"
            yield problem(name, _said(error), cure)
        except Exception as error:  # a fault that nobody has thought of
            yield problem(name, _said(error), "Mend what it says, or report it with --json.")


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
