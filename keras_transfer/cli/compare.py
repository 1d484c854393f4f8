"""``kt-recipe compare RUN RUN...``: differences on the same test images, with intervals."""

from __future__ import annotations

import json
from typing import Any

import click

from keras_transfer.errors import BadConfiguration

__all__ = ["compare"]


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--resamples", default=2000, show_default=True, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare(runs: tuple[str, ...], resamples: int, as_json: bool) -> None:
    """Compare finished runs, or series over --seeds, with the first one.

    They are paired image by image on the test split that they share: differences of accuracy
    and macro F1 with 95 % bootstrap intervals, and McNemar's exact test.
    """
    if len(runs) < 2:
        raise BadConfiguration("compare takes two runs or more; the first is the reference.")
    if resamples < 100:
        raise BadConfiguration(f"--resamples {resamples}: 100 is the minimum for a 95 % interval.")
    document = _compared(list(runs), resamples)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(_report(document))


def _compared(folders: list[str], resamples: int) -> dict[str, Any]:
    # Imported here, so that `--help` does not wait for SciPy.
    from keras_transfer.evaluation.comparing import align, compare
    from keras_transfer.evaluation.predictions import read_predictions
    from keras_transfer.objectives.outputs import single_class
    from keras_transfer.runs import digests_by_path
    from keras_transfer.runs.series import runs_of

    members = [runs_of(folder) for folder in folders]
    for run in (run for series in members for run in series):
        if not single_class({name: output.objective for name, output in run.outputs.items()}):
            raise BadConfiguration(
                f"{run.folder} is no classification, and compare takes nothing else so far. "
                "Compare the metrics.json of the runs."
            )
    answers = align(
        [
            [read_predictions(run.folder / "predictions.csv") for run in member]
            for member in members
        ],
        # One table is enough: only images that all runs share are compared.
        digests_by_path(members[0][0].split),
    )
    rest = [
        {"run": folder, "runs": len(members[i]), **compare(answers, 0, i, resamples=resamples)}
        for i, folder in enumerate(folders[1:], start=1)
    ]
    return {
        "first": folders[0],
        "runs": len(members[0]),
        "images": len(answers.true),
        "distinct": int(answers.families.max()) + 1,
        "left_out": answers.left_out,
        "others": rest,
    }


def _report(document: dict[str, Any]) -> str:
    lines = [f"Compared with {document['first']}, on {document['images']} test images"]
    if document["distinct"] < document["images"]:
        lines.append(
            f"{document['distinct']} of them are distinct; intervals and tests count those"
        )
    if document["left_out"]:
        lines.append(f"{document['left_out']} more are not in all runs and are ignored")
    for run in document["others"]:
        lines.append("")
        lines.append(run["run"])
        for name, shown in (("accuracy", "accuracy"), ("macro_f1", "macro F1")):
            metric = run[name]
            low, high = metric["interval"]
            lines.append(
                f"  {shown}  {metric['second']:.4f}, was {metric['first']:.4f}: "
                f"{metric['difference']:+.4f}  (95 % interval {low:+.4f} to {high:+.4f})"
            )
        multiple = len(run["mcnemar"]) > 1
        for number, test in enumerate(run["mcnemar"], start=1):
            lines.append(
                f"  McNemar{f', pair {number}' if multiple else ''}: {test['only_second']} images "
                f"are right only in this run, {test['only_first']} only in the first, "
                f"p = {test['p']:.3g}"
            )
    return "\n".join(lines)
