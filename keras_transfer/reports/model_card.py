"""``README.md`` of a run or an export: a model card.

Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv:1810.03993; the header is that of
Hugging Face, which its hub and its tools read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from keras_transfer.data.samples import LABEL
from keras_transfer.evaluation.layout import title
from keras_transfer.networks.hub_backbones import HUB_BACKBONES
from keras_transfer.networks.hub_presets import is_preset, place_of
from keras_transfer.networks.hub_text_backbones import HUB_TEXT_BACKBONES
from keras_transfer.objectives.outputs import Output
from keras_transfer.reports.commands import command, recipe_name
from keras_transfer.reports.thresholds import threshold_sentences
from keras_transfer.reports.wording import Table, metrics_table, percent, short, table
from keras_transfer.runs.run import Run
from keras_transfer.runs.split_table import read_rows

__all__ = ["model_card"]

UNITS = {"text": "texts", "text_pair": "pairs of texts", "image": "images"}
TASKS = {
    ("image", "classification"): "image-classification",
    ("image", "multilabel"): "image-classification",
    ("text", "classification"): "text-classification",
    ("text", "multilabel"): "text-classification",
    ("text", "tokens"): "token-classification",
    ("text_pair", "classification"): "text-classification",
}
"""Tasks of Hugging Face by input and objective; others have no name there."""
SHOWN = 20
"""Names of classes that are listed; of more the number is said."""
FEW = 20
"""Test examples of a class below which its metrics say little."""
WIDE = 0.1
"""Width of the accuracy's interval from which a test split is small."""


def model_card(
    run: Run,
    export: Mapping[str, Any] | None = None,
    test: Mapping[str, Any] | None = None,
) -> str:
    """The card of a run, or of an export of it, in Markdown.

    Args:
        run: A finished run.
        export: Metadata of the export, as ``export.json`` has them; None: the card of the run.
        test: Metrics of the export's files on the test split of the run; None: those of the run.
    """
    measured = run.metrics["test"] if test is None else test
    name = str((export or run.metadata).get("name", run.metadata["recipe"]))
    sections = {
        "Metrics": _metrics(run, measured, export),
        "Limits": _limits(run, measured),
        "Data": _data(run),
        "Training": _training(run),
        "Use": _use(run, name, export),
    }
    body = "\n".join(f"\n## {head}\n\n{text}" for head, text in sections.items())
    return (
        f"---\n{_header(run, name, measured)}---\n\n# {_escaped(name)}\n\n{_purpose(run)}\n{body}\n"
    )


def _of(run: Run, measured: Mapping[str, Any], output: str) -> Mapping[str, Any]:
    """The metrics of one output."""
    found: Mapping[str, Any] = measured if [*run.outputs] == [LABEL] else measured[output]
    return found


def _header(run: Run, name: str, measured: Mapping[str, Any]) -> str:
    input_type = run.settings["input"]["type"]
    found: dict[str, Any] = {"library_name": "keras", "tags": ["keras_transfer"]}
    objectives = {output.objective.type for output in run.outputs.values()}
    single = [*run.outputs] == [LABEL]
    task = TASKS.get((input_type, next(iter(objectives)))) if single else None
    if task is None:
        return yaml.safe_dump(found, sort_keys=False)
    metrics = [
        {"type": key, "value": round(float(measured[key]), 4), "name": title(key)}
        for key in run.outputs[LABEL].objective.headline
        if measured.get(key) is not None
    ]
    dataset = {"name": short(Path(_source(run)).name or _source(run)), "type": "custom"}
    result = {"task": {"type": task}, "dataset": {**dataset, "split": "test"}, "metrics": metrics}
    found |= {"pipeline_tag": task, "model-index": [{"name": name, "results": [result]}]}
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


def _purpose(run: Run) -> str:
    unit = UNITS.get(run.settings["input"]["type"], "examples")
    return "\n".join(f"* {line}" for line in _predicted(run.outputs, unit))


def _predicted(outputs: Mapping[str, Output], unit: str) -> Iterator[str]:
    for name, output in outputs.items():
        of = "" if [*outputs] == [LABEL] else f" (output {_escaped(name)})"
        names = ", ".join(_escaped(each) for each in output.names[:SHOWN])
        more = f" and {len(output.names) - SHOWN:,} more" if len(output.names) > SHOWN else ""
        yield {
            "classification": f"Tells apart {len(output.names):,} classes of {unit}",
            "multilabel": f"Finds any of {len(output.names):,} labels of {unit}",
            "regression": f"Estimates numbers of {unit}",
            "tokens": f"Labels the words of {unit}",
        }.get(output.objective.type, f"Predicts the {output.objective.type} of {unit}") + (
            f"{of}: {names}{more}."
        )


def _metrics(run: Run, measured: Mapping[str, Any], export: Mapping[str, Any] | None) -> str:
    """Test metrics of each output."""
    parts = []
    if export is not None and measured is run.metrics["test"]:
        parts.append("Of the model that was exported; `export.json` has those of the files.")
    for name in run.outputs:
        alone = [*run.outputs] == [LABEL]
        test, val = (_of(run, metrics, name) for metrics in (measured, run.metrics["val"]))
        rows = run.metrics["baselines"] if alone else {"simple": run.simple_baseline(name)}
        known = {key: row for key, row in rows.items() if "error" not in row}
        parts += [] if alone else [f"Output {_escaped(name)}, {test['n']:,} test examples:"]
        parts += [f"{test['n']:,} test examples."] if alone else []
        parts.append(_markdown(metrics_table(test, val, known)))
    return "\n\n".join(
        [*parts, "Intervals are over the test examples; other seeds differ in addition."]
    )


def _limits(run: Run, measured: Mapping[str, Any]) -> str:
    found = [
        "The metrics hold for examples like those of the test split. On others the model may be "
        "much worse; measure it there (`kt-recipe evaluate`)."
    ]
    for name, output in run.outputs.items():
        if output.objective.type == "classification":
            found += _class_limits(run, name, _of(run, measured, name))
    if "report.html" in {path.name for path in run.folder.glob("*.html")}:
        found.append("Mistakes, confused classes and warnings: `report.html` of the run.")
    return "\n".join(f"* {line}" for line in found)


def _class_limits(run: Run, name: str, test: Mapping[str, Any]) -> Iterator[str]:
    rejects = run.metrics.get("reject", {})
    of = "" if [*run.outputs] == [LABEL] else f"Output {_escaped(name)}: "
    if not rejects:
        yield f"{of}It answers one of its classes, whatever it is shown (`--reject` changes that)."
    for sentence in threshold_sentences(test):
        yield f"{of}{_escaped_line(sentence)}"
    low, high = test.get("accuracy_interval") or (0, 0)
    if high - low > WIDE:
        points = f"{100 * (high - low):.0f} points"
        yield f"{of}The test split is small: the interval of the accuracy is {points} wide."
    per_class = test.get("per_class", {})
    few = [short(key) for key, row in per_class.items() if row.get("support", FEW) < FEW]
    if few:
        names = ", ".join(map(_escaped, few[:SHOWN]))
        yield f"{of}Fewer than {FEW} test examples of: {names}."
    known = {key: row["recall"] for key, row in per_class.items() if row.get("recall") is not None}
    if known:
        worst = min(known, key=lambda key: known[key])
        yield f"{of}The weakest class is {_escaped(worst)}: {percent(known[worst])} of it is found."


def _data(run: Run) -> str:
    rows = read_rows(run.split)
    counts = Counter((row["label"], row["split"]) for row in rows)
    splits = [split for split in ("train", "val", "test") if any(s == split for _, s in counts)]
    labels = sorted({label for label, _ in counts})
    digest = str(run.metadata.get("data", {}).get("split.csv", ""))
    lines = [
        f"`{_code(_source(run))}`, {len(rows):,} examples; hash of the splits `{digest[:16]}`."
    ]
    alone = [*run.outputs] == [LABEL]
    if alone and run.outputs[LABEL].objective.type == "classification" and len(labels) <= SHOWN:
        body = [[short(label), *(counts[label, split] for split in splits)] for label in labels]
        lines.append(_markdown(table(["class", *splits], body)))
    else:
        sizes = Counter(row["split"] for row in rows)
        lines.append(_markdown(table(splits, [[f"{sizes[split]:,}" for split in splits]])))
    return "\n\n".join(lines)


def _training(run: Run) -> str:
    settings, metadata = run.settings, run.metadata
    found = [_weights(settings["backbone"])]
    # Fused ones are names, or groups with a name.
    fused = [one["name"] if isinstance(one, dict) else one for one in settings.get("fuse", ())]
    found += [f"Fused with {_escaped(one)}, whose own license applies." for one in fused]
    method = settings.get("method", {}).get("type", "supervised")
    if method != "supervised":
        found.append(f"Method: {_escaped(method)}.")
    if settings.get("learner"):
        learner = settings["learner"]
        named = learner.get("name") if isinstance(learner, dict) else learner
        found.append(f"Classical learner on frozen features: {_escaped(named)}.")
    else:
        stages = ", ".join(_escaped(stage["name"]) for stage in settings.get("stages", ()))
        found.append(f"Stages: {stages}.")
    versions = ", ".join(f"{name} {number}" for name, number in metadata["versions"].items())
    found.append(f"Seed {settings['seed']}; {_escaped_line(versions)}.")
    again = command("run", recipe_name(metadata), "-c", run.folder / "recipe.yaml")
    where = f" from `{_code(metadata['cwd'])}`" if metadata.get("cwd") else ""
    return "\n".join(f"* {line}" for line in found) + (
        f"\n\nThe same run again{where}: `{_code(again)}`."
    )


def _weights(backbone: Mapping[str, Any]) -> str:
    name, weights = backbone["name"], str(backbone["weights"])
    first = f"Backbone {_escaped(name)}, "
    if weights == "none":
        return f"{first}trained from random weights."
    if name in {*HUB_BACKBONES, *HUB_TEXT_BACKBONES} and is_preset(name, weights):
        place = place_of(name)
        published = f"those published for it, `{place.url}`, have the license {place.license}."
        return f"{first}weights `{_code(weights)}`; {published}"
    if weights == "imagenet":
        return (
            f"{first}ImageNet weights that Keras Applications publishes; the terms of their "
            "authors and of ImageNet apply."
        )
    return f"{first}weights `{_code(weights)}`, whose license applies."


def _use(run: Run, name: str, export: Mapping[str, Any] | None) -> str:
    raw = {"text": "'a text'", "image": "photo.jpg"}.get(run.settings["input"]["type"], "FILE.csv")
    if export is None:
        lines = [f"kt-recipe predict . {raw}", "kt-recipe evaluate . --data DATA"]
    else:
        lines = [f"kt-recipe predict . {raw}", "kt-recipe serve .."]
        lines = lines if export["format"] == "saved_model" else lines[:1]
    said = ""
    if export is not None:
        said = (
            f"Format {export['format']}, quantization {export['quantize']}. It was compared with "
            f"the model of the run before it was written: see `parity` in `export.json`.\n\n"
        )
    return said + "In this folder:\n\n```bash\n" + "\n".join(lines) + "\n```"


def _source(run: Run) -> str:
    return str(run.settings["data"]["source"])


def _markdown(rows: Table) -> str:
    lines = [rows.header, ["---"] * len(rows.header), *rows.rows]
    shown = ["| " + " | ".join(_cells(line)) + " |" for line in lines]
    more = f"\n\n{rows.left_out:,} more rows are left out." if rows.left_out else ""
    return "\n".join(shown) + more


def _cells(line: Sequence[str]) -> list[str]:
    return [cell if cell == "---" else _escaped(cell) for cell in line]


def _escaped(text: Any) -> str:
    """A name that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", short(text))


def _escaped_line(text: str) -> str:
    return re.sub(r"([\\`*_<>|])", r"\\\1", text)


def _code(text: Any) -> str:
    """A name within backticks."""
    return short(text, 200).replace("`", "'")
