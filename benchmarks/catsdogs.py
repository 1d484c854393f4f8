"""A whole training of cats and dogs: ours against the textbook's, from process start to exit.

``python -m benchmarks catsdogs`` trains a head for ten epochs, then the last block for five. Both
sides take turns on the same images with the same augmentation, rates and epochs. Ours runs
twice: with an empty cache, and with another dropout on what the first run has cached. With the real
weights of VGG16 and MobileNetV2 the test images that each side gets wrong are compared first, and a
worse accuracy ends it; of networks whose weights are not there only the time means something. The
seconds of each phase are printed for both sides.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._child import SHARED, WEIGHTS, Child, run, run_recipe, setting
from benchmarks._report import report

TEXTBOOK = Path(__file__).with_name("_textbook.py")
VGG16 = SHARED / "weights" / "vgg16_no_top.weights.h5"
NETWORKS = {
    "vgg16": str(VGG16) if VGG16.exists() else "none",
    "resnet50": "none",
    "mobilenet_v2": str(WEIGHTS),
}
AUGMENT = {"shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True}
SETTINGS: dict[str, dict[str, str]] = {"vgg16": {"resize": "stretch", "head.pooling": "flatten"}}
RATES = {"vgg16": (1e-4, 1e-5)}
"""Where our recipe has another input, head or rate than the textbook, the textbook's is taken."""
COLUMNS = ("network", "trained", "textbook s", "cold s", "ratio", "cached s", "ratio cached")


class Side(NamedTuple):
    """One training: seconds with and without the tuned block and by phase, what it got wrong."""

    seconds: dict[str, float]
    accuracy: float
    wrong: list[str]
    phases: dict[str, float]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks catsdogs")
    parser.add_argument("--network", choices=NETWORKS, help="one only; all by default")
    parser.add_argument("--pairs", type=int, default=1, help="how often each side runs")
    parser.add_argument("--epochs", type=int, nargs=2, default=[10, 5], metavar=("HEAD", "TUNE"))
    parser.add_argument("--no-tune", action="store_true", help="the head stage only")
    parser.add_argument("--engine", help="of ours; keras: neither OpenVINO nor bfloat16")
    parser.add_argument(
        "--textbook-epochs",
        type=int,
        metavar="N",
        help="run N epochs a stage of the textbook (2 or more), and work out the others",
    )
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "cats_dogs")
    asked = parser.parse_args()
    if asked.no_tune:
        asked.epochs[1] = 0
    if asked.textbook_epochs is not None and asked.textbook_epochs < 2:
        parser.error("--textbook-epochs: the first epoch is not like the others; take 2 or more.")
    return asked


def main() -> None:
    asked = arguments()
    networks = [asked.network] if asked.network else list(NETWORKS)
    rows, details = [], {}
    for network in networks:
        pairs = [pair(network, asked, turn) for turn in range(asked.pairs)]
        comparison = compare(network, asked, pairs)
        print(f"{network}: {comparison['verdict']}", flush=True)
        if comparison["worse"]:
            sys.exit("Ours is less accurate than the textbook, so its time means nothing.")
        for side, one in pairs[0].items():
            shown = ", ".join(f"{name} {seconds:.1f}" for name, seconds in one.phases.items())
            print(f"{network}, {side}, seconds: {shown}", flush=True)
        rows += [row(network, trained, pairs) for trained in pairs[0]["textbook"].seconds]
        details[network] = {"comparison": comparison, "pairs": [as_json(one) for one in pairs]}
    note = extrapolation(asked)
    print(note)
    options = {name: str(value) for name, value in vars(asked).items()}
    name = f"catsdogs_{asked.network}" if asked.network else "catsdogs"
    name += f"_{asked.engine}" if asked.engine else ""
    report(name, COLUMNS, rows, textbook=note, options=options, networks=details)


def as_json(pair: dict[str, Side]) -> dict[str, Any]:
    return {name: side._asdict() for name, side in pair.items()}


def extrapolation(asked: argparse.Namespace) -> str:
    if asked.textbook_epochs is None:
        return "The textbook ran all epochs."
    return (
        f"EXTRAPOLATED: the textbook ran {asked.textbook_epochs} epochs of each stage; the others "
        "are taken to last as long as the median of those after the first."
    )


def pair(network: str, asked: argparse.Namespace, turn: int) -> dict[str, Side]:
    """Both sides once, with the seed ``turn``; who goes first alternates."""
    sides = [textbook_side, our_sides]
    found: dict[str, Side] = {}
    for side in sides if turn % 2 == 0 else reversed(sides):
        with tempfile.TemporaryDirectory() as home:
            found |= side(network, asked, turn, Path(home))
    return found


def textbook_side(
    network: str, asked: argparse.Namespace, seed: int, home: Path
) -> dict[str, Side]:
    most = asked.textbook_epochs or max(asked.epochs)
    epochs = [min(most, wanted) for wanted in asked.epochs]
    rates = [stage["learning_rate"] for stage in recipe_stages(network)]
    words = [sys.executable, TEXTBOOK, network, asked.data, NETWORKS[network], "--seed", seed]
    child = run([*words, "--epochs", *epochs, "--rates", *rates], home)
    found = child.document
    missing = {
        stage: (wanted - len(seconds)) * statistics.median(seconds[1:] or seconds)
        for (stage, seconds), wanted in zip(found["epochs"].items(), asked.epochs, strict=False)
    }
    tune = found["seconds"].get("tune", 0.0) + missing.get("tune", 0.0)
    total = found["seconds"]["total"] + sum(missing.values())
    seconds, phases = with_and_without(tune, total), found["seconds"]
    return {"textbook": Side(seconds, found["accuracy"], found["wrong"], phases)}


def our_sides(network: str, asked: argparse.Namespace, seed: int, home: Path) -> dict[str, Side]:
    """With an empty cache, then with another dropout on the features that are there by then."""
    stages = recipe_stages(network)
    for stage, epochs in zip(stages, asked.epochs, strict=True):
        # As the textbook does it: all epochs, at one rate.
        stage.update(epochs=epochs, patience=None)
        stage["optimizer"]["solver"] = None
    options = ["--data", asked.data, "--weights", NETWORKS[network], "--seed", str(seed)]
    options += setting("stages", [stage for stage in stages if stage["epochs"]])
    options += setting("augment", AUGMENT)
    for name, value in SETTINGS.get(network, {}).items():
        options += setting(name, value)
    options += ["--engine", asked.engine] if asked.engine else []
    # By itself, Keras's engine would still compute in bfloat16 where that is faster.
    options += ["--engine-error", "0"] if asked.engine == "keras" else []
    recipe = f"{network}_catsdogs"
    cold = run_recipe(recipe, home, "cold", *options)
    cached = run_recipe(recipe, home, "cached", *options, *setting("head.dropout", 0.4))
    return {"cold": our_side(cold, asked.data), "cached": our_side(cached, asked.data)}


def recipe_stages(network: str) -> list[dict[str, Any]]:
    """The two stages of our recipe, as plain values, with the textbook's rates."""
    stages = import_module(f"recipes.{network}_catsdogs").recipe.settings()["stages"]
    for stage, rate in zip(stages, RATES.get(network, ()), strict=False):
        stage.update(learning_rate=rate, schedule="constant")
    return stages


def our_side(child: Child, data: Path) -> Side:
    """Seconds by the clock outside; those of the tuned block from the last epoch of the head on."""
    first = child.epochs[0].stage
    head = max(epoch.arrival for epoch in child.epochs if epoch.stage == first)
    tune = child.epochs[-1].arrival - head
    with Path(child.document["run"], "predictions.csv").open(newline="", encoding="utf-8") as file:
        wrong = [row["path"] for row in csv.DictReader(file) if row["true"] != row["predicted"]]
    names = [Path(path).resolve().relative_to((data / "test").resolve()) for path in wrong]
    accuracy = child.document["metrics"]["test"]["accuracy"]
    seconds, phases = with_and_without(tune, child.seconds), child.document["seconds"]
    return Side(seconds, accuracy, [str(name) for name in names], phases)


def with_and_without(tune: float, total: float) -> dict[str, float]:
    return {"head": total - tune, "head + tune": total} if tune else {"head": total}


def compare(network: str, asked: argparse.Namespace, pairs: list[dict[str, Side]]) -> dict:
    """Whether ours is worse by more than chance, from the test images on which they differ.

    Where one side alone is wrong on n images and the other alone on m, chance makes n - m
    vary by the root of n + m (McNemar); twice that is allowed.
    """
    if NETWORKS[network] == "none":
        return {"worse": False, "verdict": "random weights, so time only"}
    if asked.textbook_epochs:
        return {"worse": False, "verdict": "accuracy not compared: the textbook stopped early"}
    ours = sum(len({*one["cold"].wrong} - {*one["textbook"].wrong}) for one in pairs)
    theirs = sum(len({*one["textbook"].wrong} - {*one["cold"].wrong}) for one in pairs)
    means = {
        side: statistics.mean(one[side].accuracy for one in pairs) for side in ("textbook", "cold")
    }
    verdict = (
        f"test accuracy {means['cold']:.4f} (ours), {means['textbook']:.4f} (textbook); only ours "
        f"wrong on {ours} images, only the textbook on {theirs}"
    )
    return {"worse": ours - theirs > 2 * (ours + theirs) ** 0.5, "verdict": verdict}


def row(network: str, trained: str, pairs: list[dict[str, Side]]) -> list[Any]:
    """Medians over the pairs: seconds of each side, and ratios within each pair."""
    sides = ("textbook", "cold", "cached")
    seconds = {side: [one[side].seconds[trained] for one in pairs] for side in sides}
    cells: list[Any] = [network, trained, statistics.median(seconds["textbook"])]
    for side in ("cold", "cached"):
        both = zip(seconds["textbook"], seconds[side], strict=True)
        cells += [statistics.median(seconds[side]), statistics.median(a / b for a, b in both)]
    return cells


if __name__ == "__main__":
    main()
