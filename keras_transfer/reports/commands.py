"""Commands that go on from a run: reproduce it, use it, improve it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from keras_transfer import catalog
from keras_transfer.reports.wording import visible

__all__ = ["Command", "command", "commands", "recipe_name"]


class Command(NamedTuple):
    """A command of the shell.

    Attributes:
        purpose: What it does.
        text: The command.
    """

    purpose: str
    text: str


def command(*words: Any) -> str:
    """A line for the shell, quoted."""
    return visible(shlex.join(["kt-recipe", *map(str, words)]))


def recipe_name(metadata: dict[str, Any]) -> str:
    """What ``kt-recipe run`` takes: a recipe's name, or the file that it was run from."""
    name = str(metadata["recipe"])
    return name if name in catalog.modules() else f"{name}.py"


def commands(folder: Path, metadata: dict[str, Any], example: str) -> list[Command]:
    """Commands to reproduce, predict, evaluate, export and serve.

    Args:
        folder: The run folder.
        metadata: Of ``run.json``.
        example: What stands for an example: "PATH", "a text", "PAIRS.csv".
    """
    recipe, name = recipe_name(metadata), str(metadata["recipe"])
    again = command("run", recipe, "-c", folder / "recipe.yaml", "--out", f"{folder}-again")
    return [
        Command("Reproduce this run", again),
        Command("Predict for new examples", command("predict", folder, example)),
        Command("Measure it on other labelled data", command("evaluate", folder, "--data", "DATA")),
        Command("Compare it with another run", command("compare", folder, "OTHER_RUN")),
        Command("Export it for production", command("export", folder, "--to", "models")),
        Command("Serve the export", command("serve", f"models/{name}")),
    ]
