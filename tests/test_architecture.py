"""The architecture as a list: a careless import fails on its line."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_transfer"

# From the bottom up. A module imports only from lines above its own, or from its own package.
LAYERS = [
    {"errors", "seeds", "quiet", "cache", "group"},
    {"tables"},
    {"data", "networks"},
    {"inputs"},
    {"evaluation"},
    {"objectives"},
    {"features"},
    {"training", "learners"},
    {"runs", "catalog"},
    {"config", "exports"},
    {"workflows"},
    {"studies"},
    {"serving"},
    {"__init__"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

MODULES = sorted(PACKAGE.rglob("*.py"))


def test_every_package_is_in_the_wheel():
    listed = configparser.ConfigParser()
    listed.read(ROOT / "setup.cfg")
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")
    }
    assert folders <= set(listed["options"]["packages"].split())


def layer_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    """Names below keras_transfer that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "keras_transfer":
            names = [f"keras_transfer.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name.startswith("keras_transfer."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_layers(path):
    own = layer_of(path)
    for name in imports_of(path):
        if name == "__version__":
            continue
        assert name == own or LEVEL[name] < LEVEL[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("[!_]*.py")), ids=lambda p: p.stem)
def test_a_recipe_is_values_only(path):
    """A docstring, an import from keras_transfer, a recipe and its run; nothing else."""
    docstring, imported, recipe, run = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert imported.module == "keras_transfer"
    assert recipe.targets[0].id == "recipe"
    assert ast.unparse(run) == "run = recipe.run"


@pytest.mark.parametrize(
    "code",
    [
        "import keras_transfer",
        "from recipes import vgg16_catsdogs",
        "import keras_transfer.cli",
        "from keras_transfer.cli import main; main(['list'], standalone_mode=False)",
        "from keras_transfer.cli import main; main(['show', 'digits'], standalone_mode=False)",
        "from keras_transfer.cli import main; main(['run', '--help'], standalone_mode=False)",
        "from keras_transfer.cli import main; main(['run', 'digits', '-h'], standalone_mode=False)",
    ],
)
def test_looking_does_not_import_tensorflow(code):
    heavy = "{'tensorflow', 'keras', 'sklearn', 'scipy', 'tensorflow_datasets', 'PIL'}"
    check = f"import sys; {code}; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_public_names_are_exactly_all():
    import keras_transfer

    public = {
        name
        for name, value in vars(keras_transfer).items()
        if not name.startswith("_") and not isinstance(value, type(ast))
    }
    assert public == set(keras_transfer.__all__)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_all_of_a_module_exists(path):
    """``__all__`` names only what the module defines or imports."""
    tree = ast.parse(path.read_text())
    named = {
        element.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        for element in node.value.elts
    }
    defined = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            defined |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            several = [getattr(target, "elts", [target]) for target in node.targets]
            defined |= {getattr(target, "id", "") for one in several for target in one}
        elif isinstance(node, ast.AnnAssign):
            defined.add(getattr(node.target, "id", ""))
    assert named <= defined
