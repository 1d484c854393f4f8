"""The architecture as a list: a careless import fails on its line."""

import ast
import configparser
import graphlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_transfer"

# From the bottom up. A module imports only from lines above its own, or from its own package.
LAYERS = [
    {"csv_cells"},
    {"errors", "seeds", "quiet", "cache", "group", "atomic"},
    {"tables", "checksums", "clock", "hdf5_checks"},
    {"data", "networks"},
    {"evaluation"},
    {"domains", "inputs", "objectives", "features"},
    {"methods", "training"},
    {"config", "learners"},
    {"runs", "catalog"},
    {"explanations"},
    {"reports", "tracking"},
    {"exports", "workflows"},
    {"studies", "serving", "doctor", "sklearn"},
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


def id_of(path):
    return str(path.relative_to(PACKAGE))


def name_of(path):
    """Dotted name of a module; a package's is that of its ``__init__``."""
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def layer_of(module):
    """Name below keras_transfer; "__init__" for the package itself."""
    return (*module.split("."), "__init__")[1]


MODULES_BY_NAME = {name_of(path): path for path in MODULES}


def imports_of(text):
    """Modules of ours that a text imports anywhere, in functions and for type checks too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in MODULES_BY_NAME:  # what is imported from a module
                name = name.rpartition(".")[0]
            if name:
                yield name


@pytest.mark.parametrize(
    "text",
    [
        "import keras_transfer.data.files",
        "from keras_transfer.data import files",
        "from keras_transfer.data.files import Files",
        "def read():\n    from keras_transfer.data.files import Files",
        "if TYPE_CHECKING:\n    from keras_transfer.data.files import Files",
    ],
)
def test_an_import_is_seen_wherever_it_stands(text):
    assert list(imports_of(text)) == ["keras_transfer.data.files"]


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_a_module_imports_only_from_lower_layers(path):
    own = layer_of(name_of(path))
    for name in imports_of(path.read_text()):
        other = layer_of(name)
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {name}"


WRITERS = {
    "atomic.py": "the one module that replaces files",
    "cache.py": "renames a damaged file",
    "cli/main.py": "standard streams",
    "exports": "writes into a folder that is published by one rename",
    "features/claims.py": "claims, which nobody reads after their process has ended",
    "features/eviction.py": "opens a file to lock it",
    "features/store.py": "the description of a space, which is also its lock",
}
"""What opens files to write, besides the libraries that it calls, and why that is safe."""


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_files_are_written_by_one_module(path):
    own = path.relative_to(PACKAGE)
    if str(own) in WRITERS or own.parts[0] in WRITERS:
        return
    written = re.compile(
        r"""\.write_text\(|\.write_bytes\(|open\([^)]*["'][wa]b?\+?["']|os\.replace|copyfile"""
    )
    found = [line for line in path.read_text().splitlines() if written.search(line)]
    assert not found, f"use keras_transfer.atomic: {found}"


def test_no_modules_import_each_other():
    """Nor in a circle over others, inside a package either."""
    graph = {
        name: set(imports_of(path.read_text())) - {name} for name, path in MODULES_BY_NAME.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


MAX_LINES, MAX_BODY, MAX_FIELDS = 350, 45, 15

TOO_LONG: tuple[str, ...] = ()
"""Files that are still to be divided."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=id_of(path), marks=[pytest.mark.xfail(strict=True)] * long)
        for path in MODULES
        for long in [id_of(path) in TOO_LONG]
    ],
)
def test_a_file_is_no_longer_than_it_can_be_read_at_once(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


def body_of(function):
    """Number of lines of a function, without its docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def fields_of(a_class):
    """Number of the annotated fields of a dataclass, a named tuple or a group of settings."""
    annotated = [node for node in a_class.body if isinstance(node, ast.AnnAssign)]
    return sum("ClassVar" not in ast.unparse(node.annotation) for node in annotated)


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_functions_and_classes_are_small(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]

    assert not {f.name: body_of(f) for f in functions if body_of(f) > MAX_BODY}
    assert not {c.name: fields_of(c) for c in classes if fields_of(c) > MAX_FIELDS}


def test_a_recipe_has_at_most_13_settings():
    from keras_transfer import Classify

    assert len(Classify.model_fields) <= 13


def settings_below(group, path=()):
    """Paths of the settings of a group and of the groups in it whose settings are options.

    Alternatives, such as objectives, may have settings of one name: these have one path.
    """
    from keras_transfer.config.tree import groups_in

    for name, field in group.model_fields.items():
        inner = [one for one in groups_in(field.annotation) if one.section]
        if (field.json_schema_extra or {}).get("section") == "":  # given with its group only
            continue
        if not inner and name not in ("type", group.primary):
            yield (*path, name)
        for one in inner:
            yield from settings_below(one, (*path, name))


def test_a_setting_has_a_name_of_its_own():
    """So that it can be given without its group, and is one option of the command line."""
    from keras_transfer import Classify
    from keras_transfer.config.shorthand import SHORTHAND

    paths = set(settings_below(Classify))
    names = Counter([*(path[-1] for path in paths), *SHORTHAND])

    assert len(names) > 40
    assert [name for name, n in names.items() if n > 1] == []


def test_a_setting_of_a_stage_has_a_name_of_its_own():
    from keras_transfer import Stage

    lifted = [Stage.model_fields[name].annotation.model_fields for name in Stage.lifted]
    names = Counter(name for fields in (Stage.model_fields, *lifted) for name in fields)

    # The name of an optimizer is given as ``optimizer``.
    assert [name for name, n in names.items() if n > 1] == ["name"]


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
        "from keras_transfer.cli import main; main(['features', '-h'], standalone_mode=False)",
        "from keras_transfer.cli import main; main(['run', 'digits', '-h'], standalone_mode=False)",
        "from keras_transfer.cli import main; main(['domains', '-h'], standalone_mode=False)",
        "from keras_transfer.cli import main; main(['report', '-h'], standalone_mode=False)",
    ],
)
def test_looking_does_not_import_tensorflow(code):
    heavy = (
        "{'tensorflow', 'keras', 'sklearn', 'scipy', 'tensorflow_datasets', 'PIL', 'matplotlib', "
        "'jinja2'}"
    )
    check = f"import sys; {code}; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_public_names_are_exactly_all():
    import keras_transfer

    for name in keras_transfer.__all__:
        getattr(keras_transfer, name)  # some are imported when they are first used
    public = {
        name
        for name, value in vars(keras_transfer).items()
        if not name.startswith("_") and not isinstance(value, type(ast))
    }
    assert public == set(keras_transfer.__all__)


@pytest.mark.parametrize("path", MODULES, ids=id_of)
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


PAGES = [
    *ROOT.glob("*.md"),
    *(path for name in ("docs", "docker", "benchmarks") for path in ROOT.glob(f"{name}/*.md")),
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_documentation_is_wrapped(path):
    """Tables and blocks of code apart."""
    text = re.sub(r"^\s*```.*?^\s*```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)

    assert [line for line in text.splitlines() if len(line) > 100 and line[0] != "|"] == []


def test_a_setting_says_what_it_is():
    from keras_transfer import FineTune
    from keras_transfer.config.tree import leaves

    assert [name for name, leaf in leaves(FineTune).items() if not leaf.field.description] == []
