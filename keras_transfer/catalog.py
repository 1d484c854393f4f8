"""Find recipes: built-in ones, those of other packages, and files."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import pkgutil
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from keras_transfer.errors import BadConfiguration
from keras_transfer.tables import Table

__all__ = ["AUTO", "GROUP", "find", "load_file", "loadable", "modules", "name_of", "summary"]

GROUP = "keras_transfer.recipes"
"""Entry-point group. A value is a package; each of its modules is a recipe of its own name."""

AUTO = "auto_folder"
"""The recipe whose settings a ranking of backbones takes, and which trains what it recommends."""

logger = logging.getLogger("keras_transfer")


def modules() -> Table[str]:
    """Full module names of all installed recipes by recipe name; no recipe is imported.

    Raises:
        BadConfiguration: Two packages have a recipe of one name.
    """
    by_name: dict[str, str] = {}
    # importlib.metadata promises no order; sorted, a clash always names the same package first.
    for entry in sorted(entry_points(group=GROUP), key=lambda point: point.value):
        for name in _modules_of(entry):
            full = f"{entry.value}.{name}"
            # Two distributions may declare the same package; that is no clash.
            if by_name.setdefault(name, full) != full:
                raise BadConfiguration(
                    f"Two recipes are called {name!r}: {by_name[name]} and {full}. "
                    "Uninstall one of the packages, or rename its module."
                )
    return Table("recipe", dict(sorted(by_name.items())))


def _modules_of(entry: EntryPoint) -> list[str]:
    try:
        home = importlib.import_module(entry.value).__path__
    except Exception as error:  # errors in other packages must not break this command
        logger.warning("Warning: recipes of %r cannot be loaded: %s", entry.name, error)
        return []
    # iter_modules reads names only: a broken recipe must not keep another one from being found.
    return [module.name for module in pkgutil.iter_modules(home) if module.name[0] != "_"]


def loadable() -> dict[str, ModuleType]:
    """All recipes that import, by name; the others are left out with a warning."""
    recipes = {}
    for name in modules():
        try:
            recipes[name] = find(name)
        except BadConfiguration as error:
            logger.warning("Warning: recipe %r is left out: %s", name, error)
    return recipes


def find(name: str) -> ModuleType:
    """Import a recipe's module by the recipe's name, or by the path of its ``.py`` file.

    Raises:
        UnknownName: No such recipe is installed.
        BadConfiguration: The file is not there, fails, or holds no ``recipe``.
    """
    return load_file(Path(name)) if name.endswith(".py") else _import(modules()[name])


def load_file(path: Path) -> ModuleType:
    """Import a recipe from a file, as module ``recipe_files.<stem>``.

    Raises:
        BadConfiguration: The file is not there, fails, or holds no ``recipe``.
    """
    if not path.is_file():
        raise BadConfiguration(f"There is no file {path}; a recipe's file ends in .py.")
    # The prefix keeps a file such as json.py from replacing a module of that name in sys.modules.
    spec = importlib.util.spec_from_file_location(f"recipe_files.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BadConfiguration as error:
        raise BadConfiguration(f"{path}: {error}") from error
    except Exception as error:
        raise BadConfiguration(
            f"{path} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    # After a successful load only: a file that fails leaves no half-made module. name_of looks
    # here.
    sys.modules[module.__name__] = module
    return _checked(module)


def _import(full: str) -> ModuleType:
    try:
        return _checked(importlib.import_module(full))
    except BadConfiguration:
        raise
    except Exception as error:
        raise BadConfiguration(f"{full} cannot be imported: {error}") from error


def _checked(module: ModuleType) -> ModuleType:
    # Not isinstance: workflows.recipe imports this module, and a cycle is not allowed.
    if not hasattr(getattr(module, "recipe", None), "run"):
        raise BadConfiguration(
            f"{module.__file__} defines no recipe: it should contain `recipe = Classify(...)`."
        )
    return module


def summary(module: ModuleType) -> str:
    """First line of the module's docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def name_of(recipe: Any) -> str:
    """Name of the module that holds this recipe, or of its kind where none does."""
    # A copy, since another thread may import while this iterates.
    for name, module in list(sys.modules.items()):
        # vars, not getattr: some packages load modules lazily in __getattr__. Values may also be
        # None.
        if vars(module).get("recipe") is recipe if module else False:
            if name == "__main__":  # a script, or a notebook, which has no file
                file = getattr(module, "__file__", None)
                return Path(str(file)).stem if file else type(recipe).__name__.lower()
            return name.rpartition(".")[-1]
    return type(recipe).__name__.lower()
