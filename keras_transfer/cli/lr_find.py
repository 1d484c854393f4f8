"""``kt-recipe lr-find NAME``: find a learning rate for a recipe's first stage."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import click

from keras_transfer import catalog
from keras_transfer.cli.run import Recipes, SectionedCommand, chosen, run_options, setting_options
from keras_transfer.errors import BadConfiguration
from keras_transfer.runs.sweeps import new_sweep

__all__ = ["lr_find"]

MEANINGLESS = {
    "lr": "a sweep tries all rates",
    "baselines": "a sweep trains no model to compare",
}


def _command(name: str, module: ModuleType) -> click.Command:
    def act(**given: Any) -> None:
        _find(name, module.recipe, given)

    return SectionedCommand(
        name,
        callback=act,
        params=[
            *(option for option in run_options() if option.name != "resume"),
            *(
                option
                for option in setting_options(module.recipe)
                if option.name not in MEANINGLESS
            ),
        ],
        help=f"Sweep the learning rate of the recipe.\n\n{module.__doc__ or ''}",
        short_help=catalog.summary(module),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


@click.group("lr-find", cls=Recipes, make=_command, subcommand_metavar="NAME [OPTIONS]")
def lr_find() -> None:
    """Sweep the learning rate of a recipe's first trained stage, and suggest one; no training."""


def _first_rate(recipe: Any) -> Any:
    """The rate of the first stage that an optimizer trains; None where none does."""
    return next((stage.learning_rate for stage in recipe.stages if not stage.solved), None)


def _find(name: str, base: Any, given: dict[str, Any]) -> None:
    from keras_transfer.reports.writing import after_study

    out, as_json = given.pop("out"), given.pop("as_json")
    recipe: Any = chosen(base, given)
    # These have no option here, but -c and --set can still name them.
    if recipe.baselines != base.baselines:
        raise BadConfiguration(f"baselines: {MEANINGLESS['baselines']}, so leave it out.")
    rate = _first_rate(recipe)
    if rate is None:
        raise BadConfiguration(
            "Every stage has a solver, which needs no rate. Add a stage that an optimizer trains."
        )
    if rate != _first_rate(base):
        raise BadConfiguration(f"lr: {MEANINGLESS['lr']}, so leave it out.")
    if recipe.stages[0].schedule == "bit":
        raise BadConfiguration(
            "schedule = bit: BiT-HyperRule sets the rate itself, so a sweep is not needed. "
            "Choose another schedule."
        )
    with new_sweep(name, out, not_inside=recipe.data.source) as folder:
        sweep = recipe.changed(lr="auto").find_rate(folder)
    after_study(folder)
    if as_json:
        document = {"recipe": name, "run": str(folder), "suggested": sweep["learning_rate"]}
        click.echo(json.dumps({**document, "rule": sweep["rule"], "rules": sweep["rules"]}))
        return
    for rule, rate in sweep["rules"].items():
        click.echo(f"{rule:<16}{rate:.3g}")
    click.echo(f"The curve is in {folder}. Use a rate by --lr, or have --lr auto find it.")
