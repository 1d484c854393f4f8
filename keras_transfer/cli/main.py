"""The command's root: its subcommands, and how errors become messages and exit codes."""

from __future__ import annotations

import errno
import logging
import signal
import sys
from typing import Any

import click

from keras_transfer import __version__
from keras_transfer.cli.cache import cache
from keras_transfer.cli.compare import compare
from keras_transfer.cli.curve import curve
from keras_transfer.cli.export import export
from keras_transfer.cli.inspect import copy, list_, show
from keras_transfer.cli.lr_find import lr_find
from keras_transfer.cli.run import run
from keras_transfer.cli.serve import serve
from keras_transfer.cli.tune import tune
from keras_transfer.cli.use import evaluate, predict
from keras_transfer.cli.weights import weights
from keras_transfer.errors import TransferError, UnknownName

__all__ = ["main"]

INTERRUPTED = 130


class Root(click.Group):
    """Prints what a user can mend without a traceback, with the exit code of its kind."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand."""
        try:
            return super().invoke(ctx)
        except TransferError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                click.echo(f"Error: A path is too long: {error.filename!r:.200}...", err=True)
                ctx.exit(2)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            click.echo(
                "Error: The disk is full. Make room, then give the command again; a run goes on "
                "with --resume.",
                err=True,
            )
            ctx.exit(1)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a subcommand; suggest a near miss where there is none."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise UnknownName("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


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
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False  # some package may set up the root logger
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does


COMMANDS = (
    list_,
    show,
    run,
    lr_find,
    tune,
    compare,
    curve,
    evaluate,
    predict,
    export,
    serve,
    copy,
    weights,
    cache,
)
for command in COMMANDS:
    main.add_command(command)
