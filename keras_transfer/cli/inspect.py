"""``kt-recipe list``, ``show`` and ``copy``: look at recipes without loading TensorFlow."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import click
import yaml

from keras_transfer import catalog
from keras_transfer.config.upgrade import versioned
from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.custom import is_keras_file

__all__ = ["copy", "list_", "show"]


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(as_json: bool) -> None:
    """List the recipes, one line each."""
    rows = {name: catalog.summary(module) for name, module in catalog.loadable().items()}
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    width = max(map(len, rows), default=0)
    for name, line in rows.items():
        click.echo(f"{name:<{width}}  {line}")


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(name: str, as_json: bool) -> None:
    """Show a recipe: its description and all settings, in the format of -c.

    Of FILE.keras it shows what the network is as a backbone: input, features, blocks.
    """
    if is_keras_file(name):
        from keras_transfer.cli.show_network import show_network  # it imports Keras

        show_network(name, as_json=as_json)
        return
    module = catalog.find(name)
    if as_json:
        document = {"recipe": name, "kind": type(module.recipe).__name__}
        click.echo(
            json.dumps({**document, "settings": module.recipe.settings()}, ensure_ascii=False)
        )
        return
    # As YAML comments, so that the output is a file for -c.
    for line in (module.__doc__ or "").strip().splitlines():
        click.echo(f"# {line}".rstrip())
    settings = versioned(module.recipe.settings())
    click.echo(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).rstrip())


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def copy(name: str, file: Path) -> None:
    """Copy a recipe's module to FILE for editing; `kt-recipe run FILE` runs it."""
    module = catalog.find(name)
    if file.is_dir():
        file = file / f"{name}.py"
    if file.suffix != ".py":
        raise BadConfiguration(f"{file} should end in .py, so that `kt-recipe run` takes it.")
    try:
        # "x" never overwrites, even if another process makes the file just now.
        with file.open("x", encoding="utf-8") as copied:
            copied.write(inspect.getsource(module))
    except FileExistsError:
        raise BadConfiguration(f"{file} already exists; name another file.") from None
    except OSError as error:
        raise BadConfiguration(f"{file} cannot be written: {error.strerror}.") from None
    click.echo(f"Written to {file}. Run it: kt-recipe run {file}", err=True)
