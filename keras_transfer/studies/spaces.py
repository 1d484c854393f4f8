"""Settings of a search, and their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from keras_transfer.config.recipe_checks import val_monitors
from keras_transfer.config.tree import full_path, with_setting
from keras_transfer.config.yaml_values import load_yaml
from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration
from keras_transfer.methods.adaptation import Adaptation, DeepAdaptation
from keras_transfer.methods.table import METHODS
from keras_transfer.workflows.finetune import FineTune

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["Setting", "read_space", "with_values"]

FORM = "should be KEY=LOW:HIGH, KEY=log:LOW:HIGH or KEY=A,B"

JUDGED_ON = ("data", "seed", "monitor")
"""Settings that change the metric of a trial, so that trials could not be compared."""

METHOD = "method.type"
"""Path of the name of an adaptation; ``--search method=A,B`` means it."""

OF_ADAPTATION = ("target_data", "target_labels", "choose_by", "keep")
"""Settings of an adaptation that change the metric of a trial, or what it is compared with."""

PREDICTED = ("", "type", "columns", "separator")
"""Settings of an objective that say what is predicted; "" is the objective itself."""

HEADS = (
    "a trial is judged by its best epoch, and the epochs of bagging are those of its single "
    "heads. Search without it, then run best.yaml with --method bagging:10."
)
"""Why bagging is not searched."""

UNSEARCHED = {
    "bagging": HEADS,
    "adabn": "a trial is judged by its best epoch, before adabn takes the target's statistics. "
    "Search without it, then run best.yaml with --method adabn.",
}
"""Why there is no search with a method."""

OF_STAGES = {"lr": "stages.0.learning_rate"} | {
    name: f"stages.*.{name}" for name in ("epochs", "schedule", "views", "layer_decay")
}
"""Settings that a shorthand changes."""


class Setting(NamedTuple):
    """A setting with its range, or with the values it may take.

    Attributes:
        path: Dotted path, e.g. ``stages.0.learning_rate``.
        values: (low, high) of a range, whole numbers if both are; or the choices.
        how: "range", "log" (a range whose logarithm is drawn evenly) or "choice".
    """

    path: str
    values: tuple[Any, ...]
    how: str

    @property
    def distribution(self) -> BaseDistribution:
        """Optuna's distribution; for choices, of the index."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.how == "choice":
            # By index: Optuna's categories may be scalars only, and a setting may be a list.
            return CategoricalDistribution(range(len(self.values)))
        integer = all(isinstance(value, int) for value in self.values)
        distribution_class: Any = IntDistribution if integer else FloatDistribution
        return distribution_class(*self.values, log=self.how == "log")

    def value(self, drawn: Any) -> Any:
        """The setting's value for what Optuna has drawn."""
        return self.values[drawn] if self.how == "choice" else drawn

    def probes(self) -> Sequence[Any]:
        """Values to validate: all choices, or both ends and a value between."""
        if self.how == "choice":
            return self.values
        low, high = self.values
        integer = isinstance(low, int) and isinstance(high, int)
        # The value between is not whole, so a setting of whole numbers refuses the range.
        return (low, high) if integer else (low, low + 0.3717 * (high - low), high)


def read_space(texts: Sequence[str], recipe: FineTune, base: FineTune) -> list[Setting]:
    """Read ``--search`` options, and validate them on the recipe.

    Args:
        texts: ``KEY=LOW:HIGH``, ``KEY=log:LOW:HIGH`` or ``KEY=A,B,...``. If empty: ``lr`` from a
            tenth to ten times the recipe's rate, ``head.dropout`` and ``label_smoothing``.
        recipe: The recipe to search.
        base: The recipe without the user's other options.

    Raises:
        BadConfiguration: No such form, a range that is none, a value that is not allowed, or a
            setting that is fixed otherwise or changes what trials are judged by.
    """
    if not recipe.chosen_by.startswith("val_"):
        raise BadConfiguration(
            f"monitor = {recipe.chosen_by}: trials are judged on the val split. Use --monitor "
            f"{val_monitors(recipe)}."
        )
    if recipe.method.type in UNSEARCHED:
        raise BadConfiguration(f"method = {recipe.method.type}: {UNSEARCHED[recipe.method.type]}")
    if not texts:
        settings = [_setting(text) for text in _defaults(recipe)]
        free = [
            setting
            for setting in settings
            if not _refusal(setting, recipe, base) and _fits(setting, recipe)
        ]
        if not free:
            raise BadConfiguration("All default search settings are fixed; name a --search.")
        return free
    space = [_of_method(_setting(text), recipe) for text in texts]
    paths = [setting.path for setting in space]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    # The second range would silently replace the first.
    if twice:
        raise BadConfiguration(f"--search names {', '.join(twice)} more than once.")
    for setting in space:
        for value in setting.probes():
            with_values(recipe, {setting.path: value})
        reason = _refusal(setting, recipe, base) or _outweighed(setting.path, paths)
        if reason:
            raise BadConfiguration(f"--search {setting.path}: {reason}")
    return space


def with_values(recipe: FineTune, values: dict[str, Any]) -> FineTune:
    """The recipe with other values at some paths.

    Another adaptation gets its own defaults: a weight of one method means nothing in another.
    """
    settings = recipe.settings()
    if values.get(METHOD, recipe.method.type) != recipe.method.type:
        shared = {name: settings["method"][name] for name in Adaptation.model_fields}
        settings = {**settings, "method": shared}
    for path, value in values.items():
        # Flow style: a mapping or a list in one line, as --set reads it.
        settings = with_setting(
            settings, f"{path}={yaml.safe_dump(value, default_flow_style=True)}"
        )
    return recipe.changed(**settings)


def _of_method(setting: Setting, recipe: FineTune) -> Setting:
    """``method=A,B`` of an adaptation is about its name: the target stays."""
    adapts = isinstance(recipe.method, DeepAdaptation) and setting.path in ("method", METHOD)
    if not adapts:
        return setting
    others = [v for v in setting.values if not issubclass(METHODS[str(v)], DeepAdaptation)]
    if others:
        raise BadConfiguration(
            f"--search {setting.path}: trials of {others[0]} cannot be compared with those of "
            f"{recipe.method.type} by {recipe.chosen_by} after each epoch. Leave it out."
        )
    return setting._replace(path=METHOD)


def _defaults(recipe: FineTune) -> list[str]:
    defaults = ["head.dropout=0:0.5", "label_smoothing=0:0.2"]
    number = _first_trained(recipe)
    if number is None:
        return defaults
    rate = recipe.stages[number].learning_rate
    # There is no number to search around, so the default of a stage takes its place.
    rate = 1e-3 if rate == "auto" else rate
    return [f"lr=log:{rate / 10:.6g}:{rate * 10:.6g}", *defaults]


def _first_trained(recipe: FineTune) -> int | None:
    """Number of the first stage that an optimizer trains, whose rate is ``lr``."""
    return next((number for number, stage in enumerate(recipe.stages) if not stage.solved), None)


def _refusal(setting: Setting, recipe: FineTune, base: FineTune) -> str:
    """Why a setting cannot be searched; empty if it can."""
    first, *rest = full_path(recipe.settings(), setting.path)
    if first in JUDGED_ON:
        return f"trials of different {first} cannot be compared."
    if first == "objective" and (reason := _changes_metric(setting, rest, recipe)):
        return reason
    if first == "method" and isinstance(recipe.method, Adaptation):
        return _of_adaptation(rest, recipe)
    if first in ("method", "ensemble"):
        return HEADS
    path = OF_STAGES.get(setting.path, setting.path)
    if setting.path == "lr":
        path = path.replace("0", str(_first_trained(recipe) or 0))
    leaf, fixed = (
        _at(other.settings(), full_path(other.settings(), path)) for other in (recipe, base)
    )
    # A setting that the recipe got with another objective or method was not there to be fixed.
    if fixed is not ABSENT and leaf != fixed:
        return "the setting is fixed by another option. Leave one of them out."
    return ""


def _of_adaptation(path: Sequence[str], recipe: FineTune) -> str:
    """Why a setting of an adaptation cannot be searched; empty if it can.

    Args:
        path: Its path below ``method``.
        recipe: The recipe to search.
    """
    if not isinstance(recipe.method, DeepAdaptation):
        return (
            f"trials are compared by {recipe.chosen_by} on the source, which says nothing about "
            "the target."
        )
    if path[0] in OF_ADAPTATION:
        return f"trials of different {'.'.join(['method', *path])} cannot be compared."
    return ""


def _changes_metric(setting: Setting, path: Sequence[str], recipe: FineTune) -> str:
    """Why trials of an objective's setting cannot be compared by the monitor; empty if they can.

    Args:
        setting: The setting.
        path: Its path below ``objective``.
        recipe: The recipe to search.
    """
    output = LABEL
    if isinstance(recipe.objective, dict) and path:
        output, *path = path
    leaf = path[0] if path else ""
    if leaf in PREDICTED:
        return "trials that predict something else cannot be compared."
    objective = recipe.objectives[output]
    total = recipe.chosen_by == "val_loss"
    own = total or recipe.chosen_by == f"val_{output}_loss"
    changes = own and (leaf in objective.loss_settings or "focal" in setting.values)
    if changes or (total and leaf == "weight" and len(recipe.objectives) > 1):
        others = val_monitors(recipe, loss=False)
        return f"{leaf} changes {recipe.chosen_by} itself. Add --monitor {others}."
    return ""


def _outweighed(path: str, paths: Sequence[str]) -> str:
    over = _outweighing(path)
    return f"{over} is searched too, and overrides it. Leave one out." if over in paths else ""


def _outweighing(path: str) -> str:
    """The shorthand that overrides this setting of a stage."""
    if path in ("stages.0.learning_rate", "stages.*.learning_rate"):
        return "lr"
    first, last = path.split(".")[0], path.split(".")[-1]
    return last if first == "stages" and last in OF_STAGES else ""


def _fits(setting: Setting, recipe: FineTune) -> bool:
    """Whether the recipe accepts the setting together with its other settings."""
    try:
        for value in setting.probes():
            with_values(recipe, {setting.path: value})
    except BadConfiguration:
        return False
    return True


ABSENT = object()


def _at(tree: Any, path: Sequence[str]) -> Any:
    """The value in nested settings at a path; ABSENT if there is none."""
    if not path:
        return tree
    first, *rest = path
    if isinstance(tree, list) and first == "*":
        return [_at(key, rest) for key in tree]
    if isinstance(tree, list):
        within = first.isdecimal() and int(first) < len(tree)
        return _at(tree[int(first)], rest) if within else ABSENT
    return _at(tree[first], rest) if isinstance(tree, dict) and first in tree else ABSENT


def _setting(text: str) -> Setting:
    path, equals, parsed = (part.strip() for part in text.partition("="))
    log, parsed = parsed.startswith("log:"), parsed.removeprefix("log:")
    if not (equals and path and parsed):
        raise BadConfiguration(f"--search {text}: {FORM}.")
    if ":" in parsed and "," not in parsed:
        return Setting(path, _ends(text, parsed, log), "log" if log else "range")
    try:
        values = load_yaml(f"[{parsed}]")
    except yaml.YAMLError as error:
        raise BadConfiguration(f"--search {text:.100}: the values are not YAML: {error}") from None
    if log or len(values) < 2:
        raise BadConfiguration(f"--search {text}: {FORM}, with two values at least.")
    return Setting(path, tuple(map(_plain, values)), "choice")


def _ends(text: str, values: str, log: bool) -> tuple[float, float]:
    ends = [_plain(end) for end in values.split(":")]
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
        raise BadConfiguration(f"--search {text}: {FORM}, with numbers as ends.")
    low, high = ends
    if not (-float("inf") < low < high < float("inf")) or (log and low <= 0):
        raise BadConfiguration(
            f"--search {text}: the first end should be the lower one, and above 0 with log."
        )
    return low, high


def _plain(value: Any) -> Any:
    """Convert a text like 1e-3 to a number; YAML reads it as text."""
    for kind in (int, float):
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            continue
    return value
