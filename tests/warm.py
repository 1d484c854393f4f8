"""Code in forked children of a process that has imported TensorFlow already.

Importing TensorFlow and Keras takes half of the processor time of a small run. A test worker
starts this file as a process once, and that forks a child for each request. In all else the child
is what ``python -c CODE WORDS`` is: it has its own folder, environment and output, and imports
keras_transfer itself. It ends once its threads have, without taking its modules down.

A fork copies the calling thread only, so what is forked must have no other. TensorFlow starts its
threads with its first operation, not when it is imported; OpenVINO, gRPC and PyArrow start theirs
when they are imported, so they are not imported here. Should that change, nothing is forked.
"""

import atexit
import ctypes
import faulthandler
import gc
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

__all__ = ["FIXED", "SECONDS", "WarmProcess"]

SECONDS = 300
"""What a request may take before it is taken for hung."""

MODULES = (
    *("numpy", "scipy.stats", "sklearn.metrics", "sklearn.ensemble", "PIL.Image", "h5py"),
    *("tensorflow", "keras", "click", "pydantic", "yaml", "tqdm"),
)
OPTIONAL = ("matplotlib.backends.backend_agg", "optuna", "jinja2")
"""Packages of others that the commands use. Our own are imported by each child."""

FIXED = ("KERAS_BACKEND", "KERAS_HOME", "KT_VERBOSE", "PYTHONHASHSEED")
"""Variables that are read while the above is imported: a child cannot have other ones."""


class WarmProcess:
    """What a test has of the process, which is started with the first request."""

    def __init__(self):
        self.process = None

    def run(self, code, words, cwd, environment, folder):
        """Run code in a child, and return its exit code.

        Args:
            code: Python, as text.
            words: Its arguments: ``sys.argv[1:]``.
            cwd: The child's folder.
            environment: All of its variables.
            folder: Where its output is written, as files ``stdout`` and ``stderr``.

        Returns:
            The exit code, or -n where signal n ended it.
        """
        if self.process is None:
            self._start()
        other = [name for name in FIXED if environment.get(name) != self.environment.get(name)]
        if other:
            raise ValueError(f"{other} are read at import: this needs a process of its own")
        request = {"code": code, "words": words, "cwd": str(cwd), "environment": environment}
        request |= {"out": str(folder), "seconds": 0.9 * SECONDS}
        with suppress(BrokenPipeError):  # the answer says why
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        return self._answer([code, *words], folder)

    def _start(self):
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # OpenBLAS begins them at once
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # to end it with its child
        )
        atexit.register(self.close)

    def _answer(self, asked, folder):
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        answer = self.process.stdout.readline() if ready else b""
        if answer:
            return int(answer)
        why = f"did not end in {SECONDS} s" if not ready else "ended without an exit code"
        told = [f"{asked} {why}", self.close()]
        told += [path.read_text(errors="replace") for path in sorted(Path(folder).iterdir())]
        raise AssertionError("\n".join(told))

    def close(self):
        """End the process, and a child that is still at work. Returns what it had to say."""
        if self.process is None:
            return ""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        _, said = self.process.communicate()
        self.process = None
        return said.decode()


def _serve():
    """Fork a child for each line on standard input, and answer its exit code."""
    _end_with_the_parent()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w")
    _redirect(0, os.devnull, os.O_RDONLY)
    _redirect(1, os.devnull, os.O_WRONLY)
    made = _import()
    forked = multiprocessing.get_context("fork")
    for line in requests:
        child = forked.Process(target=_become, args=(made,), kwargs=json.loads(line))
        child.start()
        child.join()
        print(child.exitcode, file=answers, flush=True)


def _end_with_the_parent():
    """Whatever ends it: a killed test worker leaves nothing behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _redirect(descriptor, path, flags):
    opened = os.open(path, flags, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


def _import():
    """Import what is heavy, and return the variables that this sets."""
    before = dict(os.environ)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    _redirect(2, os.devnull, os.O_WRONLY)
    gc.disable()
    for name in MODULES:
        import_module(name)
    for name in OPTIONAL:
        with suppress(ImportError):
            import_module(name)
    gc.enable()
    gc.freeze()  # a child's collections do not copy these pages
    os.dup2(kept, 2)
    os.close(kept)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        sys.exit(f"{__file__}: an import has started threads, {threads} run; none survives a fork")
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def _become(made, code, words, cwd, environment, out, seconds):
    """Do what ``python -c`` does with the code."""
    _end_with_the_parent()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update({**made, **environment})
    for descriptor, name in enumerate(("stdout", "stderr"), start=1):
        _redirect(descriptor, f"{out}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    faulthandler.dump_traceback_later(seconds)
    import numpy as np

    np.random.seed()  # else each child would draw the same, as no two processes do
    sys.argv, sys.path[0] = ["-c", *words], ""
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    _serve()
