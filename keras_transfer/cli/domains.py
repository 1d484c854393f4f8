"""``kt-recipe domains``: how far a target is from a source, and what a model loses there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from keras_transfer import catalog
from keras_transfer.cli.run import chosen
from keras_transfer.errors import BadConfiguration

__all__ = ["domains"]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("source", metavar="RUN_OR_DATA")
@click.option(
    "--target",
    required=True,
    help="Where the model is to work: labelled data, a folder or pattern of images, or a table "
    "without labels.",
)
@click.option("--data", help="Labelled examples of the source, if those of the run are gone.")
@click.option("--backbone", metavar="NAME[:OPTION=VALUE]", help="For data: [mobilenet_v2]")
@click.option("--weights", help="For data: a file, run:DIR, ...  [those of ImageNet]")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="For data: any setting of auto_folder, such as input.image_size=96.",
)
@click.option(
    "--classes", metavar="A,B,...", help="Target classes to compare; others are left out."
)
@click.option("--unlabelled", is_flag=True, help="Do not use labels of the target.")
@click.option("--sample", default=1000, show_default=True, help="Most examples of each domain.")
@click.option("--seed", default=0, show_default=True, help="Random seed of all draws.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [runs/domains/<n>]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def domains(source: str, as_json: bool, **given: Any) -> None:
    """Say how far the target is from the source, what the model loses there, and what to do.

    RUN_OR_DATA is a finished run; or labelled data, on whose frozen features a logistic regression
    is fitted. Nothing else is trained. Examples that the model learnt from are not used.
    """
    from keras_transfer.studies.domains import compare_domains, recipe_of

    names = ("backbone", "weights", "assignments")
    backbone, weights, assignments = (given.pop(name) for name in names)
    opened: Any = source
    if (Path(source) / "run.json").exists():
        if backbone or weights or assignments:
            raise BadConfiguration(
                f"{source} is a run, which has its own network and settings. Leave out --backbone, "
                "--weights and --set, or name data in its place."
            )
    else:
        if given["data"]:
            raise BadConfiguration("--data is for a run; the source is data already.")
        settings = {"config": None, "assignments": assignments, "seed": given["seed"]}
        recipe: Any = chosen(catalog.find(catalog.AUTO).recipe, settings)
        opened = recipe_of(source, backbone, weights, recipe)
    given["classes"] = [
        name.strip() for name in (given["classes"] or "").split(",") if name.strip()
    ]
    folder, document = compare_domains(opened, **given)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **document}, ensure_ascii=False))
        return
    click.echo("\n".join(_report(folder, document)))


def _report(folder: Path, found: Mapping[str, Any]) -> Iterator[str]:
    source, target = found["source"], found["target"]
    yield (
        f"Source: {source['name']} ({source['backbone']}, {source['model']}); held-out examples: "
        f"{source['test']:,} test, {source['val']:,} val"
    )
    labels = "with labels" if target["labelled"] else "without labels"
    count = f"{target['examples']:,} of {target['of']:,} examples"
    yield f"Target: {target['name']} ({labels}); {count}"
    yield from _left_out(target)
    yield "\n" + _shares(found["label_shift"])
    yield "\n" + _distances(found)
    if found["per_class"]:
        yield "\n" + _classes(found["per_class"])
    yield "\n" + _accuracy(found["accuracy"])
    yield "\n" + found["verdict"]["text"]
    advice = found["recommendation"]
    yield advice["text"]
    yield from (f"  {command}" for command in advice["commands"])
    drawn = ", a map" if (folder / "map.png").exists() else ""  # which needs Matplotlib
    yield f"\nThe tables{drawn} and the examples are in {folder}."


def _left_out(target: Mapping[str, Any]) -> Iterator[str]:
    for key, what in (
        ("invalid", "cannot be used; see bad_files.csv"),
        ("examples_of_the_source", "are examples of the source"),
        ("copies", "are copies of others"),
    ):
        if target[key]:
            yield f"Left out: {target[key]:,} that {what}"
    if target["missing_classes"]:
        yield f"Classes without target examples: {', '.join(target['missing_classes'])}"


SHOWN = 20
"""Most classes in a table of the terminal; the files have all."""


def _shares(shift: Mapping[str, Any]) -> str:
    from keras_transfer.evaluation.layout import aligned, shown

    table = [["class shares", "source", "target, estimated", "95 % interval", "target, true"]]
    for row in shift["classes"][:SHOWN]:
        interval = f"{shown(row['low'])} to {shown(row['high'])}" if row["determined"] else "-"
        values = (row["source"], row["estimated"])
        table.append([row["class"], *map(shown, values), interval, shown(row["target"])])
    by = "labels" if shift["by"] == "labels" else "predicted classes"
    found = "differ" if shift["found"] else "may be equal"
    return f"{aligned(table)}\nBy the {by} the shares {found} (p = {shift['p_value']:.3f})."


def _distances(found: Mapping[str, Any]) -> str:
    from keras_transfer.evaluation.layout import aligned

    columns = [found["distances"]]
    header = ["distances", "as they are"]
    if found["distances_with_equal_shares"]:
        columns.append(found["distances_with_equal_shares"])
        header.append("with equal class shares")
    table = [
        header,
        ["MMD²", *(f"{d['mmd']:.4f} (p = {d['mmd_p_value']:.3f})" for d in columns)],
        ["proxy A-distance (0 to 2)", *map(_a_distance, columns)],
        [
            "Fréchet distance (two parts of the source)",
            *(_reference(d, "frechet") for d in columns),
        ],
        ["CORAL distance (two parts of the source)", *(_reference(d, "coral") for d in columns)],
    ]
    return aligned(table)


def _a_distance(row: Mapping[str, Any]) -> str:
    return f"{row['a_distance']:.2f} ({row['a_distance_low']:.2f} to {row['a_distance_high']:.2f})"


def _reference(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:.4g} ({row[f'{name}_reference']:.4g})"


def _classes(rows: list[Mapping[str, Any]]) -> str:
    from keras_transfer.evaluation.layout import aligned

    table = [["by class", "source", "target", "MMD p", "proxy A-distance"]]
    for row in rows[:SHOWN]:
        numbers = [f"{row['source']:,}", f"{row['target']:,}", f"{row['mmd_p_value']:.3f}"]
        table.append([row["class"], *numbers, _a_distance(row)])
    return aligned(table)


NAMES = {
    "average_thresholded_confidence": "  estimated by thresholded confidence",
    "difference_of_confidences": "  estimated by the difference of confidences",
}


def _accuracy(found: Mapping[str, Any]) -> str:
    from keras_transfer.evaluation.layout import aligned

    def cell(one: Mapping[str, Any] | None, key: str = "value") -> str:
        if one is None:
            return "-"
        return f"{one[key]:.3f} ({one['low']:.3f} to {one['high']:.3f})"

    measured = [cell(found[domain], "accuracy") for domain in ("source", "target")]
    table = [["what the model loses", "source", "target"], ["accuracy", *measured]]
    held_out = f"{found['held_out']:.3f}"
    table += [[NAMES[name], held_out, cell(one)] for name, one in found["estimates"].items()]
    for name, title in (("entropy", "mean entropy"), ("agreement", "agreement of two heads")):
        if found[name]:
            table.append([title, cell(found[name]["source"]), cell(found[name]["target"])])
    return aligned(table)
