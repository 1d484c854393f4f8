"""Build the wheel and check what is in it: both names of the recipes, nothing that is not ours."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

root = Path(__file__).parents[1]
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(root)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = Path(folder).glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

sources = {str(path.relative_to(root)) for path in (root / "keras_transfer").rglob("*.py")}
sources |= {str(path.relative_to(root)) for path in root.glob("keras_transfer/*/page/*")}
recipes = {path.name for path in (root / "recipes").glob("*.py")}
wanted = sources | {
    f"{home}/{one}" for home in ("recipes", "keras_transfer/recipes") for one in recipes
}
found = {name for name in names if ".dist-info/" not in name}
if found != wanted:
    sys.exit(f"wheel lacks {sorted(wanted - found)}, has besides {sorted(found - wanted)}")
print(f"{wheel.name}: {len(found)} files")
