"""Record a few runs with one checkout and compare another checkout with them, bit for bit.

    git worktree add /tmp/before 82250fa
    python tests/reference_runs.py record /tmp/reference --code /tmp/before
    python tests/reference_runs.py compare /tmp/reference

`history.csv` and `predictions.csv` of each run must not change by a single byte. The numbers
depend on the processor, so both steps belong on one machine. Engines are chosen by a timing: the
second checkout takes over the choices of the first. Needs the images and weights beside the
checkout (KT_SHARED).
"""

import argparse
import filecmp
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("KT_SHARED", ROOT.parent / "shared")).resolve()
COMMAND = "from keras_transfer.cli import main; main(prog_name='kt-recipe')"
FILES = ("history.csv", "predictions.csv", "predictions_val.csv")

CATSDOGS = [
    *("run", "mobilenet_v2_catsdogs", "--data", str(SHARED / "data" / "cats_dogs")),
    *("--set", "variant.alpha=0.35", "--limit", "240", "--batch-size", "16", "--engine", "keras"),
    # What auto chose before the stages that tune saw augmented views.
    *("--views", "clean"),
    # The stages of the recipe then: a head by Adam, and another rate.
    "--set",
    "stages=[{name: head, epochs: 5, learning_rate: 1e-3}, {name: tune, epochs: 4, "
    "learning_rate: 5e-5, unfreeze: block_13, schedule: cosine}]",
    *("--weights", str(SHARED / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5")),
]
HEAD = ["--set", "stages=[{name: head, epochs: 3}]"]


def runs(bagging):
    """Name of each run, and the words after kt-recipe; the folder is added."""
    return {
        "digits": ["run", "digits", "--engine", "keras"],
        "tuned": [*CATSDOGS, "--epochs", "2", "--imbalance", "class_weight"],
        "mixed": [*CATSDOGS, "--epochs", "2", "--mixup", "0.2", "--label-smoothing", "0.1"],
        "killed": [*CATSDOGS, "--epochs", "2"],
        "bagged": [*CATSDOGS, *bagging, *HEAD],
    }


def start(words, code, folder):
    """Start the command of a checkout in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": str(code),
        "KT_CACHE_DIR": str(folder / "cache"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words],
            cwd=folder, env=environment, stdout=output, stderr=output,
        )  # fmt: skip


def finish(words, code, folder):
    """Run the command to its end."""
    if start(words, code, folder).wait() != 0:
        sys.exit(f"kt-recipe {' '.join(words)} failed; see {folder / 'output.txt'}")


def kill_in_second_stage(words, code, folder):
    """Kill the command once the second stage has an epoch behind it."""
    process = start(words, code, folder)
    history = folder / words[words.index("--out") + 1] / "history.csv"
    while process.poll() is None:
        if history.exists() and "tune,1" in history.read_text():
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.05)
    sys.exit(f"The run ended before it could be killed; see {folder / 'output.txt'}")


def record(code, folder, before=None):
    """Make all runs with a checkout; those that are there already stay.

    ``before`` holds runs whose choices of engines are taken over.
    """
    grown = (code / "keras_transfer" / "methods").exists()
    bagging = ["--method", "bagging:3"] if grown else ["--ensemble", "bagging:3"]
    for name, words in runs(bagging).items():
        place = folder / name
        if (place / "done").exists():
            continue
        place.mkdir(parents=True, exist_ok=True)
        if before is not None:
            choices = Path("cache", "features", "engines-3.json")
            (place / choices).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(before / name / choices, place / choices)
        words = [*words, "--out", "run"]
        if (code / "keras_transfer" / "evaluation" / "calibration.py").exists():
            words += ["--calibrate", "none"]  # as before there was any
        if name == "killed":
            kill_in_second_stage(words, code, place)
            words.append("--resume")
        finish(words, code, place)
        (place / "done").touch()
        print(f"{name}: recorded")


def compare(before, after):
    """Compare all files; returns the names of those that differ."""
    different = []
    for name in runs([]):
        for file in FILES:
            same = filecmp.cmp(before / name / "run" / file, after / name / "run" / file, False)
            print(f"{name}/{file}: {'equal' if same else 'DIFFERENT'}")
            different += [] if same else [f"{name}/{file}"]
    return different


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["record", "compare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--code", type=Path, default=ROOT, help="checkout to run  [this one]")
    given = parser.parse_args()
    folder, code = given.folder.resolve(), given.code.resolve()
    if given.what == "record":
        record(code, folder)
        return
    after = folder.with_name(f"{folder.name}-{os.getpid()}")
    record(code, after, folder)
    if compare(folder, after):
        sys.exit(1)


if __name__ == "__main__":
    main()
