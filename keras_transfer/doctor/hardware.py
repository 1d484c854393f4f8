"""Processor, graphics cards and memory."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from keras_transfer.doctor.finding import Finding, note, ok, problem

__all__ = ["check_cpu", "check_gpus", "check_memory"]

FLAGS = ("avx", "avx2", "avx512f", "avx512_bf16", "amx_bf16")
BFLOAT16 = {"avx512_bf16", "amx_bf16"}
LEAST_MEMORY = 2e9
HIDDEN = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES that leave no card."""

PATIENCE = 20
"""Seconds that ``nvidia-smi`` may take."""


def check_cpu() -> Iterator[Finding]:
    """What the processor can do, of what makes training fast."""
    flags: set[str] = set()
    with suppress(OSError), open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        flags = {flag for line in file if line.startswith("flags") for flag in line.split()}
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    if not flags:
        yield ok("cpu", cores)
        return
    known = [flag for flag in FLAGS if flag in flags]
    if "avx" not in known and platform.machine() in ("x86_64", "AMD64"):
        cure = "Use another machine, or build TensorFlow yourself."
        yield problem("cpu", f"{cores}, without AVX, which TensorFlow needs", cure)
        return
    half = "bfloat16 is fast" if BFLOAT16 & flags else "bfloat16 is not used"
    yield ok("cpu", f"{cores}, {', '.join(known) or 'no AVX'}; {half}")


def check_gpus() -> Iterator[Finding]:
    """Whether TensorFlow sees the graphics cards that the driver sees."""
    from keras_transfer.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    seen, there = len(tf.config.list_physical_devices("GPU")), _cards()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen:
        yield ok("gpu", f"TensorFlow sees {seen} of {max(seen, len(there))}: {_wants(tf)}")
    elif there and hidden in HIDDEN:
        text = f"CUDA_VISIBLE_DEVICES={hidden} hides {', '.join(there)}"
        yield note("gpu", text, "Unset the variable to use them.")
    elif there:
        text = f"TensorFlow sees none of {', '.join(there)}. {_wants(tf)}"
        yield problem("gpu", text, "pip install 'keras_transfer[gpu]', which brings both.")
    else:
        yield ok("gpu", "none")


def _cards() -> list[str]:
    """The cards that NVIDIA's driver lists."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    with suppress(OSError, subprocess.SubprocessError, UnicodeError):
        done = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
        return [line.partition(":")[2].partition("(UUID")[0].strip() for line in lines]
    return []


def _wants(tf: Any) -> str:
    info = tf.sysconfig.get_build_info()
    if not info.get("is_cuda_build"):
        return f"TensorFlow {tf.__version__} is built without CUDA."
    return (
        f"TensorFlow {tf.__version__} is built for CUDA {info.get('cuda_version', '?')} and cuDNN "
        f"{info.get('cudnn_version', '?')}."
    )


def check_memory() -> Iterator[Finding]:
    """Memory that is free, in this container too."""
    from keras_transfer.data.memory import available

    free = available()
    if not free:
        yield note("memory", "how much is free is not known on this system")
    elif free < LEAST_MEMORY:
        cure = "End other programs, or give the container more memory."
        yield problem("memory", f"{free / 1e9:.1f} GB free", cure)
    else:
        yield ok("memory", f"{free / 1e9:.1f} GB free")
