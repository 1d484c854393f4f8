"""The command's root: its subcommands, and how errors become messages and exit codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import signal
import sys
from contextlib import suppress
from typing import Any

import click

from keras_transfer import __version__
from keras_transfer.cli.cache import cache
from keras_transfer.cli.check import check
from keras_transfer.cli.compare import compare
from keras_transfer.cli.completion import completion
from keras_transfer.cli.curve import curve
from keras_transfer.cli.doctor import doctor
from keras_transfer.cli.domains import domains
from keras_transfer.cli.explain import explain
from keras_transfer.cli.export import export
from keras_transfer.cli.features import features
from keras_transfer.cli.inspect import copy, list_, show
from keras_transfer.cli.lr_find import lr_find
from keras_transfer.cli.rank import rank
from keras_transfer.cli.report import report
from keras_transfer.cli.run import run
from keras_transfer.cli.serve import serve
from keras_transfer.cli.tune import tune
from keras_transfer.cli.use import evaluate, predict
from keras_transfer.cli.weights import weights
from keras_transfer.errors import BadData, TransferError, UnknownName

__all__ = ["main"]

INTERRUPTED = 130


class Root(click.Group):
    """Prints what a user can mend without a traceback, with the exit code of its kind."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command as a program."""
        _open_streams()
        try:
            return super().main(*args, **settings)
        except BrokenPipeError:  # whoever read stdout, such as head, has seen enough
            _drop(sys.stdout)
            sys.exit(0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand."""
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()  # at exit nothing could be said of a failure
            return found
        except BrokenPipeError:
            _drop(sys.stdout)
            ctx.exit(0)
        except TransferError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        # Handled here: click would turn it into Abort, whose exit code is 1.
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                click.echo(f"Error: A path is too long: {error.filename!r:.200}...", err=True)
                ctx.exit(2)
            # EDQUOT: the user's quota is used up, which feels like a full disk.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            click.echo(
                "Error: The disk is full. Make room, then give the command again; a run goes on "
                "with --resume.",
                err=True,
            )
            ctx.exit(1)
        except Exception as error:
            if not (found := _bad_data_in(error)):
                raise
            click.echo(f"Error: {found}", err=True)
            ctx.exit(BadData.exit_code)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a subcommand; suggest a near miss where there is none."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise UnknownName("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def _open_streams() -> None:
    """Open what was closed by ``>&-``: the next file would take its number, and get what is said.

    TensorFlow writes to number 2, whatever that is.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    with suppress(AttributeError, OSError):  # a notebook or a test has put another object there
        if sys.stderr.fileno() == 2:
            sys.stderr = io.TextIOWrapper(
                io.BufferedWriter(_Unheard(2, "wb", closefd=False)),
                sys.stderr.encoding,
                "backslashreplace",
                line_buffering=True,
            )


class _Unheard(io.FileIO):
    """Standard error: what nobody can read, since it is full or its reader has gone, is no error.

    The exit code of the command still says how it ended.
    """

    def write(self, content: Any) -> int:
        """Write as far as it can be written."""
        try:
            return super().write(content)
        except OSError:
            return len(content)


def _drop(stream: Any) -> None:
    """Send what is still to be written to nowhere, at exit too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _bad_data_in(error: Exception) -> str:
    """What ``BadData`` says inside of a graph, where TensorFlow makes an error of its own of it."""
    if "tensorflow" not in type(error).__module__:
        return ""
    found = re.search(r"BadData: (.*?)\n+(?=Traceback|\t|$)", str(error), re.DOTALL)
    return found[1] if found else ""


def _interrupted(number: int, frame: Any) -> None:
    """Let the command save what it has; the next signal stops it at once."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _stopped)
    raise KeyboardInterrupt


def _stopped(number: int, frame: Any) -> None:
    # os.write: inside a signal handler print could meet its own half-finished call.
    os.write(2, b"Stopped at once. A run resumes from its last saved epoch with --resume.\n")
    # Not sys.exit: its exception would run the saving that this signal should stop.
    os._exit(INTERRUPTED)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kt-recipe")
def main() -> None:
    """Fine-tune pretrained networks on your own labelled images.

    Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 data or weights, 4 a check
    failed, 130 interrupted.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("keras_transfer")
    # Replaced, not added: in tests and notebooks the command runs several times in one process.
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False  # some package may set up the root logger
    signal.signal(signal.SIGTERM, _interrupted)  # ends as Ctrl-C does
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as it is in the background
        signal.signal(signal.SIGINT, _interrupted)


# None of them imports TensorFlow or SciPy at the top of its module: `--help` should be instant.
COMMANDS = (
    list_,
    show,
    check,
    rank,
    features,
    run,
    lr_find,
    tune,
    compare,
    curve,
    doctor,
    domains,
    evaluate,
    predict,
    explain,
    report,
    export,
    serve,
    copy,
    weights,
    cache,
    completion,
)
for command in COMMANDS:
    main.add_command(command)
