"""``kt-recipe compare RUN RUN...``: differences on the same test examples, with intervals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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

    They are paired example by example on the test split that they share: differences of the
    objective's main metrics with 95 % bootstrap intervals, and McNemar's test or, of numbers,
    Wilcoxon's signed-rank test. Several outputs have a table each.
    """
    from keras_transfer.studies.comparison import compare_runs

    if len(runs) < 2:
        raise BadConfiguration("compare takes two runs or more; the first is the reference.")
    if resamples < 100:
        raise BadConfiguration(f"--resamples {resamples}: 100 is the minimum for a 95 % interval.")
    document = compare_runs(runs, resamples)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    for name, output in document.get("outputs", {"": document}).items():
        click.echo("\n".join(_report(document["first"], name, output)))


def _report(first: str, name: str, output: Mapping[str, Any]) -> Iterator[str]:
    heading = f"\nOutput {name}: compared" if name else "Compared"
    yield f"{heading} with {first}, on {output['examples']:,} test examples"
    if output["distinct"] < output["examples"]:
        yield f"{output['distinct']:,} of them are distinct; intervals and tests count those"
    if output["left_out"]:
        yield f"{output['left_out']:,} more are not in all runs and are ignored"
    for run in output["others"]:
        yield f"\n{run['run']}"
        yield _table(run)
        yield from _mcnemar(run, output["objective"])
        yield from _wilcoxon(run)


def _table(run: Mapping[str, Any]) -> str:
    """Differences by metric; of several targets, of their means and of each."""
    from keras_transfer.evaluation.layout import aligned

    rows = _rows(run)
    for target, metrics in run.get("per_target", {}).items():
        rows += _rows(metrics, f" of {target}")
    return aligned([["", "first", "this run", "difference", "95 % interval"], *rows])


def _rows(metrics: Mapping[str, Any], of: str = "") -> list[list[str]]:
    from keras_transfer.evaluation.layout import is_better, metric_text, title

    rows = []
    for name, metric in metrics.items():
        if not isinstance(metric, dict) or "difference" not in metric:
            continue
        values = [metric_text(name, metric[key]) for key in ("first", "second")]
        bounds = metric["interval"] or (None, None)
        low, high = (metric_text(name, bound, sign="+") for bound in bounds)
        interval = "-" if metric["interval"] is None else f"{low} to {high}"
        difference = metric_text(name, metric["difference"], sign="+")
        label = f"{title(name)}{of} ({is_better(name)} is better)"
        rows.append([label, *values, difference, interval])
    return rows


def _mcnemar(run: Mapping[str, Any], objective: str) -> Iterator[str]:
    tests = run.get("mcnemar", [])
    right = "have all labels right" if objective == "multilabel" else "are right"
    for test in tests:
        pair = f", pair {test['pair']}" if len(tests) > 1 else ""
        yield (
            f"McNemar's exact test{pair}: {test['only_second']} examples {right} only in this run, "
            f"{test['only_first']} only in the first, p = {test['p']:.3g}"
        )


def _wilcoxon(run: Mapping[str, Any]) -> Iterator[str]:
    tests = run.get("wilcoxon", [])
    several = {name: len({test[name] for test in tests}) > 1 for name in ("target", "pair")}
    for test in tests:
        of = f" of {test['target']}" if several["target"] else ""
        pair = f", pair {test['pair']}" if several["pair"] else ""
        law = "exact" if test["law"] == "exact" else "normal approximation"
        yield (
            f"Wilcoxon's signed-rank test{of}{pair}: this run is closer in "
            f"{test['closer_second']} examples, the first in {test['closer_first']}, "
            f"p = {test['p']:.3g} ({law})"
        )
