"""The examples of docs/architecture.md, applied to a copy of the package and run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r"```python\n# (\S+\.py|use)(?:: (\w+))?\n(.*?)```",
    (ROOT / "docs/architecture.md").read_text(encoding="utf-8"),
    re.DOTALL,
)


def add_rows(file, table, block):
    """Put imports after those of the file, and rows first into a table."""
    text = file.read_text()
    imports, rows = re.fullmatch(r"((?:from [^\n]*\n)*)\n?(.*)", block, re.DOTALL).groups()
    last = [*re.finditer(r"^from .*\n", text, re.MULTILINE)][-1].start()
    text = text[:last] + imports + text[last:]
    start = re.search(rf"^{table}\b[^{{]*{{", text, re.MULTILINE).end()
    file.write_text(text[:start] + rows + text[start:])


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A folder with the changed package, and data for the examples."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "keras_transfer", folder / "keras_transfer", ignore=shutil.ignore_patterns("*.pyc")
    )
    for place, table, block in BLOCKS:
        if table:
            add_rows(folder / place, table, block)
        elif place != "use":
            assert not (folder / place).exists()
            (folder / place).write_text(block)
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for place in range(24):
        name = f"images/{('dark', 'light')[place % 2]}/{place}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (16, 16, 3)) + 127 * (place % 2)
        Image.fromarray(pixels.astype("uint8")).save(folder / name)
        lines.append(f"{name},{1 + place % 5}")
    (folder / "counts.csv").write_text("\n".join(lines))
    return folder


def test_an_example_is_short():
    """Twenty lines of code, without docstrings, blank lines and the comment that names a file."""
    for place, _, block in BLOCKS:
        code = re.sub(r'^\s*""".*?"""', "", block, flags=re.DOTALL | re.MULTILINE)
        assert len([line for line in code.splitlines() if line.strip()]) <= 20, place


@pytest.mark.slow
def test_the_examples_work(copy):
    use = "\n".join(block for place, _, block in BLOCKS if place == "use")
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-c", use], cwd=copy, env=environment, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert len([*(copy / "runs").glob("*/*/metrics.json")]) == 5
