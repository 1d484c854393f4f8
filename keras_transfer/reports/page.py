"""``report.html``: one self-contained file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadData
from keras_transfer.evaluation.layout import metric_text
from keras_transfer.reports.adaptation import Adaptation, adaptation
from keras_transfer.reports.commands import commands
from keras_transfer.reports.data_card import DataCard, data_card
from keras_transfer.reports.examples import Examples
from keras_transfer.reports.gallery import Gallery
from keras_transfer.reports.heat_maps import HeatMaps, heat_maps, stored_maps
from keras_transfer.reports.outputs import (
    Limits,
    keys_of,
    looked_at,
    read_classes,
    section,
    unit_verdict,
)
from keras_transfer.reports.templates import MAX_BYTES, environment
from keras_transfer.reports.thumbnails import sheet
from keras_transfer.reports.training import Training, training
from keras_transfer.reports.verdict import Facts, OtherOutput, Worry, class_verdict, worries
from keras_transfer.reports.wording import Table, interval, percent, short, table
from keras_transfer.runs.run import Run
from keras_transfer.runs.split_table import read_rows

__all__ = ["render"]

PLANS = (Limits(12, 6, 900), Limits(6, 2, 900), Limits(3, 0, 600), Limits(0, 0, 0))
"""What is dropped where a page would be larger: images of right answers first, those of single
cells, the sheet of augmented examples; never the mistakes and the least sure examples."""

NO_WORRY = "Nothing in its numbers calls for caution."


class Found(NamedTuple):
    """What is read once for a page.

    Attributes:
        run: The run.
        examples: Reads its examples.
        gallery: Cards of examples.
        training: Curves and stages.
        data: The data card.
        classes: By output.
        maps: Where the model looked, by output.
    """

    run: Run
    examples: Examples
    gallery: Gallery
    training: Training
    data: DataCard
    classes: dict[str, Any]
    maps: Mapping[str, HeatMaps]


def render(
    run: Run,
    data: Any = None,
    max_bytes: int = MAX_BYTES,
    *,
    complete: bool = False,
    map_seconds: float | None = None,
) -> str:
    """The page of a run.

    Args:
        run: A finished run.
        data: Where its examples are now: a spec, or arrays; None: where they were.
        max_bytes: Images are left out of a page that would be larger.
        complete: Whether to refuse a page without examples.
        map_seconds: For deletion scores of heat maps that are not in the run folder yet, which take
            the model; None: only those that are there are shown.

    Raises:
        BadData: A file of the run is damaged, or its examples cannot be read.
    """
    rows = read_rows(run.split)
    examples = Examples(run, rows, data)
    if complete and examples.problem:
        raise BadData(examples.problem)
    classes = {name: read_classes(run, name, examples.digests) for name in run.outputs}
    of = "stratum" if classes.get(LABEL) is None or len(classes) > 1 else "class"
    gallery = Gallery(examples)
    gallery.load(
        key for one in classes.values() if one is not None for key in keys_of(one, PLANS[0])
    )
    card = data_card(run.folder, rows, examples, of)
    shown = {name: looked_at(one) for name, one in classes.items() if one is not None}
    if map_seconds is None:
        heat = stored_maps(run.folder)
    else:
        heat = heat_maps(run, examples, shown, map_seconds)
    found = Found(run, examples, gallery, training(run), card, classes, heat)
    template, text = environment().get_template("report.html"), ""
    for number, limits in enumerate(PLANS):
        text = template.render(**_content(found, limits), dropped=number > 0)
        if len(text.encode()) < max_bytes:
            break
    return text


def _content(found: Found, limits: Limits) -> dict[str, Any]:
    run, card = found.run, found.data
    single = found.classes[LABEL] if [*found.classes] == [LABEL] else None
    unit = "text" if found.examples.are_texts else "image"
    baseline = run.simple_baseline(LABEL) if single is not None else None
    others = _others(run) if single is None else []
    facts = Facts(run.metrics, found.training, card, single, baseline, unit, others)
    worried = worries(facts)
    said = class_verdict(facts) if single is not None else _other_verdict(run)
    adapted = adaptation(run.metrics)
    sections = [
        # The strata that the card counts are those of the first output.
        section(
            *(run, name, one, found.gallery, limits, {} if number else card.train),
            maps=found.maps.get(name),
        )
        for number, (name, one) in enumerate(found.classes.items())
    ]
    return {
        "recipe": run.metadata["recipe"],
        "folder": str(run.folder),
        "verdict": _sentences(said, adapted, worried),
        "worries": worried,
        "tiles": _tiles(facts) if single is not None else [],
        "unit": unit,
        "outputs": sections,
        "adaptation": adapted,
        "training": found.training,
        "augmented": sheet(run.folder / "augmented.png", limits.sheet) if limits.sheet else "",
        "data": card,
        "examples": found.examples,
        "missing": sorted(set(found.examples.missing)),
        "about": _about(run),
        "settings": _settings(run.folder / "recipe.yaml"),
        "seconds": _seconds(run.metadata),
        "commands": commands(run.folder, run.metadata, found.examples.stands_for),
        "percent": percent,
    }


def _sentences(
    said: Sequence[str], adapted: Adaptation | None, worried: Sequence[Worry]
) -> list[str]:
    """The verdict; last what to worry about first."""
    target = [] if adapted is None else [adapted.verdict]
    return [*said, *target, worried[0].text if worried else NO_WORRY]


def _other_verdict(run: Run) -> list[str]:
    return [unit_verdict(run, name) for name in run.outputs][:4]


def _others(run: Run) -> list[OtherOutput]:
    several, found = [*run.outputs] != [LABEL], []
    for name, output in run.outputs.items():
        test, main = run.test_metrics(name), output.objective.headline[0]
        base = run.simple_baseline(name).get(main)
        bounds = test.get(f"{main}_interval")
        found.append(OtherOutput(name if several else "", main, test["n"], bounds, base))
    return found


def _tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """The numbers to look at first: value, name, remark."""
    test, found = facts.metrics["test"], facts.classes
    assert found is not None
    wrong = int((~found.correct).sum())
    base = (facts.baseline or {}).get("accuracy")
    tiles = [
        (percent(test["accuracy"]), "accuracy", interval(test["accuracy_interval"])),
        (f"{wrong:,}", "mistakes", f"of {test['n']:,} test {facts.unit}s"),
        (metric_text("macro_f1", test["macro_f1"])[:5], "macro F1", "classes count alike"),
    ]
    if base is not None:
        tiles.insert(1, (percent(base), "baseline", "always the largest class"))
    return tiles


def _about(run: Run) -> Table:
    metadata, settings = run.metadata, run.settings
    backbone = settings["backbone"]
    rows: list[tuple[str, Any]] = [
        ("recipe", metadata["recipe"]),
        ("workflow", metadata.get("kind", "-")),
        ("data", settings["data"]["source"]),
        ("backbone", ", ".join(map(_named, [backbone, *settings.get("fuse", ())]))),
        ("weights", backbone.get("weights", "-") if isinstance(backbone, dict) else "-"),
        ("method", _type(settings.get("method"))),
        ("random seed", settings.get("seed", "-")),
        *_hashes(metadata),
        ("started", metadata.get("started", "-")),
        *metadata.get("versions", {}).items(),
    ]
    return table(["", ""], [[name, short(value, 120)] for name, value in rows])


def _hashes(metadata: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Of the tables that the run's data are known by."""
    hashes = metadata.get("data") or {"split.csv": "-"}
    return [(f"SHA-256 of {name}", value) for name, value in hashes.items()]


def _named(backbone: Any) -> str:
    if not isinstance(backbone, dict):
        return str(backbone)
    variant = ", ".join(f"{key} {value}" for key, value in (backbone.get("variant") or {}).items())
    return f"{backbone['name']} ({variant})" if variant else str(backbone["name"])


def _type(group: Any) -> str:
    return str(group.get("type", "-")) if isinstance(group, Mapping) else str(group or "-")


def _settings(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")[:50_000]
    except OSError:
        return ""


def _seconds(metadata: Mapping[str, Any]) -> Table:
    seconds = metadata.get("seconds", {})
    named = sum(value for name, value in seconds.items() if name != "total")
    # Runs of earlier versions name some seconds twice.
    rest = max(0.0, seconds.get("total", 0.0) - named)
    seconds = {**seconds, "other": rest}
    order = sorted(seconds, key=lambda name: (name == "total", name == "other"))
    rows = [[name.replace("_", " "), f"{seconds[name]:.1f}"] for name in order if seconds[name]]
    return table(["step", "seconds"], rows)
