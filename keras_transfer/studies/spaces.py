"""Which settings a search tries, and over what range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from keras_transfer.config.tree import full_path, with_setting
from keras_transfer.errors import BadConfiguration
from keras_transfer.workflows.finetune import FineTune

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["Setting", "read_space", "with_values"]

FORM = "should be KEY=LOW:HIGH, KEY=log:LOW:HIGH or KEY=A,B"

JUDGED_ON = ("data", "seed", "monitor")
"""Settings that change what a trial is judged on: its metric could not be compared with others."""

HEADS = (
    "a trial is judged by its best epoch, and the epochs of bagging are those of its single "
    "heads. Search without it, then run best.yaml with --method bagging:10."
)
"""Why bagging is not searched."""

OF_STAGES = {"lr": "stages.0.learning_rate"} | {
    name: f"stages.*.{name}" for name in ("epochs", "schedule", "views", "layer_decay")
}
"""What a shorthand sets."""


class Setting(NamedTuple):
    """A setting with its range, or with the values it may take.

    Attributes:
        path: Such as ``stages.0.learning_rate``.
        values: (low, high) of a range, whole numbers if both are; or the choices.
        how: "range", "log" (a range whose logarithm is drawn evenly) or "choice".
    """

    path: str
    values: tuple[Any, ...]
    how: str

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna draws from; of choices it draws the place."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.how == "choice":
            return CategoricalDistribution(range(len(self.values)))
        whole = all(isinstance(one, int) for one in self.values)
        kind: Any = IntDistribution if whole else FloatDistribution
        return kind(*self.values, log=self.how == "log")

    def value(self, drawn: Any) -> Any:
        """The setting's value for what Optuna has drawn."""
        return self.values[drawn] if self.how == "choice" else drawn

    def probes(self) -> Sequence[Any]:
        """Values that the setting must take: choices, or ends and something between."""
        if self.how == "choice":
            return self.values
        low, high = self.values
        whole = isinstance(low, int) and isinstance(high, int)
        return (low, high) if whole else (low, low + 0.3717 * (high - low), high)


def read_space(texts: Sequence[str], recipe: FineTune, base: FineTune) -> list[Setting]:
    """Read ``--search`` options, and try what they say on the recipe.

    Args:
        texts: ``KEY=LOW:HIGH``, ``KEY=log:LOW:HIGH`` or ``KEY=A,B,...``. If empty: ``lr`` from a
            tenth to ten times the recipe's rate, ``head.dropout`` and ``label_smoothing``.
        recipe: What is searched.
        base: The same without what the user has set by other options.

    Raises:
        BadConfiguration: No such form, a range that is none, a value that is not allowed, or a
            setting that is fixed otherwise or changes what trials are judged by.
    """
    if not recipe.monitor.startswith("val_"):
        raise BadConfiguration(
            f"monitor = {recipe.monitor}: trials are judged on the val split. Use --monitor "
            "val_loss or val_accuracy."
        )
    if recipe.method.type == "bagging":
        raise BadConfiguration(f"method = {recipe.method.type}: {HEADS}")
    if not texts:
        settings = [_setting(text) for text in _defaults(recipe)]
        free = [
            setting
            for setting in settings
            if not _refusal(setting, recipe, base) and _fits(setting, recipe)
        ]
        if not free:
            raise BadConfiguration("All that is searched by default is fixed; name a --search.")
        return free
    space = [_setting(text) for text in texts]
    paths = [setting.path for setting in space]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise BadConfiguration(f"--search names {', '.join(twice)} more than once.")
    for setting in space:
        for value in setting.probes():
            with_values(recipe, {setting.path: value})
        why = _refusal(setting, recipe, base) or _outweighed(setting.path, paths)
        if why:
            raise BadConfiguration(f"--search {setting.path}: {why}")
    return space


def with_values(recipe: FineTune, values: dict[str, Any]) -> FineTune:
    """The recipe with other values at some paths."""
    settings = recipe.settings()
    for path, value in values.items():
        settings = with_setting(
            settings, f"{path}={yaml.safe_dump(value, default_flow_style=True)}"
        )
    return recipe.changed(**settings)


def _defaults(recipe: FineTune) -> list[str]:
    rate = recipe.stages[0].learning_rate
    rate = 1e-3 if rate == "auto" else rate
    return [
        f"lr=log:{rate / 10:.6g}:{rate * 10:.6g}",
        "head.dropout=0:0.5",
        "label_smoothing=0:0.2",
    ]


def _refusal(setting: Setting, recipe: FineTune, base: FineTune) -> str:
    """Why a setting cannot be searched; empty where it can."""
    first = full_path(recipe.settings(), setting.path)[0]
    if first in JUDGED_ON:
        return f"trials of different {first} cannot be compared."
    if recipe.monitor == "val_loss" and "focal" in setting.values:
        return "the focal loss is another val_loss. Add --monitor val_accuracy."
    if first in ("method", "ensemble"):
        return HEADS
    path = OF_STAGES.get(setting.path, setting.path)
    found, fixed = (_at(one.settings(), full_path(one.settings(), path)) for one in (recipe, base))
    if found != fixed:
        return "the setting is fixed by another option. Leave one of them out."
    return ""


def _outweighed(path: str, paths: Sequence[str]) -> str:
    over = _outweighing(path)
    return f"{over} is searched too, and outweighs it. Leave one out." if over in paths else ""


def _outweighing(path: str) -> str:
    """The shorthand that overrides this setting of a stage."""
    if path in ("stages.0.learning_rate", "stages.*.learning_rate"):
        return "lr"
    first, last = path.split(".")[0], path.split(".")[-1]
    return last if first == "stages" and last in OF_STAGES else ""


def _fits(setting: Setting, recipe: FineTune) -> bool:
    """Whether the recipe takes the setting at all, beside what else it says."""
    try:
        for value in setting.probes():
            with_values(recipe, {setting.path: value})
    except BadConfiguration:
        return False
    return True


def _at(tree: Any, path: Sequence[str]) -> Any:
    """What nested settings hold at a path; None where it leads nowhere."""
    if not path:
        return tree
    first, *rest = path
    if isinstance(tree, list) and first == "*":
        return [_at(one, rest) for one in tree]
    if isinstance(tree, list):
        within = first.isdecimal() and int(first) < len(tree)
        return _at(tree[int(first)], rest) if within else None
    return _at(tree.get(first), rest) if isinstance(tree, dict) else None


def _setting(text: str) -> Setting:
    path, equals, said = (part.strip() for part in text.partition("="))
    log, said = said.startswith("log:"), said.removeprefix("log:")
    if not (equals and path and said):
        raise BadConfiguration(f"--search {text}: {FORM}.")
    if ":" in said and "," not in said:
        return Setting(path, _ends(text, said, log), "log" if log else "range")
    try:
        values = yaml.safe_load(f"[{said}]")
    except yaml.YAMLError as error:
        raise BadConfiguration(f"--search {text}: the values are not YAML: {error}") from None
    if log or len(values) < 2:
        raise BadConfiguration(f"--search {text}: {FORM}, with two values at least.")
    return Setting(path, tuple(map(_plain, values)), "choice")


def _ends(text: str, said: str, log: bool) -> tuple[float, float]:
    ends = [_plain(end) for end in said.split(":")]
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
        raise BadConfiguration(f"--search {text}: {FORM}, with numbers as ends.")
    low, high = ends
    if not (-float("inf") < low < high < float("inf")) or (log and low <= 0):
        raise BadConfiguration(
            f"--search {text}: the first end should be the lower one, and above 0 with log."
        )
    return low, high


def _plain(value: Any) -> Any:
    """A number where a text is one, such as 1e-3, which YAML takes for text."""
    for kind in (int, float):
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            continue
    return value
