"""Time and memory of a whole run as the number of images grows, on a network that costs little.

``python -m benchmarks scale`` makes small JPEG files in a temporary folder and trains the head
of convnet_small on them for an epoch, each time with an empty cache. Microseconds an image are
those between one size and the one before, so that the start of the process does not count.
``--manifest N`` lists and splits a table of N files instead, of which none is opened.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._child import Child, run, run_recipe, setting
from benchmarks._report import report

SIDE, FILES_A_FOLDER = 32, 1000
CLASSES = ("dark", "light")

LIST_AND_SPLIT = """
import json, resource, sys, time
import scipy.sparse.csgraph, keras_transfer.data.manifests  # imports are not part of the work
from keras_transfer.data import sources, splits
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
began = time.perf_counter()
samples = sources.read(sys.argv[1])
read = time.perf_counter()
splits.split(samples, val=0.15, test=0.15, seed=0)
done = time.perf_counter()
print(json.dumps({"imports": before, "reading": read - began, "splitting": done - read}))
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--manifest", type=int, metavar="N", help="rows of a table, such as 1000000"
    )
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    if asked.manifest:
        manifest(asked.manifest)
    else:
        whole_runs(sorted(asked.sizes))


def whole_runs(sizes: list[int]) -> None:
    children = {size: trained(size) for size in sizes}
    base = children.get(10_000, children[sizes[0]]).peak
    rows: list[list[Any]] = []
    for before, size in zip([None, *sizes], sizes, strict=False):
        child = children[size]
        more = (child.seconds - children[before].seconds) / (size - before) if before else None
        rows.append(
            [
                f"{size:,}",
                child.seconds,
                1e6 * child.seconds / size,
                1e6 * more if more is not None else None,
                child.peak / 2**20,
                child.peak / base,
            ]
        )
    reference = "10,000" if 10_000 in children else f"{sizes[0]:,}"
    columns = ("images", "s", "us an image", "us a further one", "peak MB", f"of {reference}")
    phases = {size: child.document["seconds"] for size, child in children.items()}
    report("scale", columns, rows, phases=phases)


def trained(size: int) -> Child:
    """A run on so many images, which are gone afterwards."""
    head = {"name": "head", "epochs": 1, "learning_rate": 1e-3}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make_images(home / "images", size)
        options = ["--data", home / "images", "--backbone", "convnet_small", "--weights", "none"]
        options += ["--image-size", str(SIDE), *setting("stages", [head])]
        child = run_recipe("mobilenet_v2_catsdogs", home, "run", *options)
    print(f"{size:,} images: {child.seconds:.1f} s", flush=True)
    return child


def make_images(folder: Path, count: int) -> None:
    """Noise, dark or light; no two files are equal."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(count // len(CLASSES)):
            noise = rng.integers(0, 128, (SIDE, SIDE, 3), "uint8") + np.uint8(127 * number)
            content = io.BytesIO()
            Image.fromarray(noise).save(content, "jpeg", quality=60)
            (folder / name / f"{i:06}.jpg").write_bytes(content.getvalue())


def manifest(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_manifest(home, count)
        child = run([sys.executable, "-c", LIST_AND_SPLIT, home / "table.csv"], home)
    found = child.document
    columns = ("rows", "reading s", "splitting s", "us a row", "peak MB", "of it imports")
    reading, splitting = found["reading"], found["splitting"]
    each = 1e6 * (reading + splitting) / count
    memory = [child.peak / 2**20, found["imports"] / 2**20]
    report("scale_manifest", columns, [[f"{count:,}", reading, splitting, each, *memory]])


def write_manifest(home: Path, count: int) -> None:
    """A table of empty files: that they are there is looked at, what is in them is not."""
    with (home / "table.csv").open("w", encoding="utf-8") as table:
        table.write("path,label\n")
        for number in range(count):
            folder, name = divmod(number, FILES_A_FOLDER)
            if name == 0:
                (home / f"{folder:06}").mkdir()
            path = f"{folder:06}/{name:06}.jpg"
            (home / path).touch()
            table.write(f"{path},{CLASSES[number % len(CLASSES)]}\n")


if __name__ == "__main__":
    main()
