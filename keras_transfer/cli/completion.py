"""``kt-recipe completion SHELL``: completion of commands, recipes, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

__all__ = ["completion", "values"]

PROGRAM, VARIABLE = "kt-recipe", "_KT_RECIPE_COMPLETE"

FILES = (
    *("data", "data_dir", "config", "out", "to", "weights"),
    *("target_data", "unknown_data", "relabel", "groups"),
)
"""Options whose values are files or folders."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script for completion by the tab key.

    bash: kt-recipe completion bash >> ~/.bashrc; zsh: the same with ~/.zshrc; fish: into
    ~/.config/fish/completions/kt-recipe.fish. It acts in shells that are opened afterwards.
    """
    make = get_completion_class(shell)
    assert make is not None  # click knows these shells
    click.echo(make(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())


def values(option: click.Option, incomplete: str) -> list[CompletionItem]:
    """What may follow an option.

    Args:
        option: Its name says whether it takes files or a backbone, its metavar which words.
        incomplete: What has been typed of the value.
    """
    if option.name in FILES:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(word) for word in _words(option) if word.startswith(incomplete)]


def _words(option: click.Option) -> list[str]:
    # Imported here: no command needs these tables to start.
    if option.name == "backbone":
        from keras_transfer.networks.backbones import BACKBONES
        from keras_transfer.networks.text_backbones import TEXT_BACKBONES

        return [*BACKBONES, *TEXT_BACKBONES]
    if option.name == "method":
        from keras_transfer.methods.table import METHODS

        return list(METHODS)
    return [word for word in str(option.metavar or "").split("|") if word.islower()]
