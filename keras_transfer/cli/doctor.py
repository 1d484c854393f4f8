"""``kt-recipe doctor``: whether this machine can train, export and predict."""

from __future__ import annotations

import json

import click

from keras_transfer.errors import CheckFailed

__all__ = ["doctor"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--self-test/--no-self-test", default=True, help="Train, export and predict too.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, self_test: bool) -> None:
    """Look for what would stop a run on this machine, and say how to mend it.

    Python and packages, processor, GPUs, memory, folders, weights, proxies, and a small training.
    Ends with exit code 4 if there is a problem; a note stops nothing by itself.
    """
    from keras_transfer.doctor import diagnose

    found = []
    for finding in diagnose(self_test):
        found.append(finding)
        if not as_json:
            click.echo(f"{finding.state:<8} {finding.check}: {finding.found}")
            if finding.cure:
                click.echo(f"{'':<8} -> {finding.cure}")
    problems = [finding for finding in found if finding.state == "problem"]
    if as_json:
        document = {"problems": len(problems), "findings": [one._asdict() for one in found]}
        click.echo(json.dumps(document, ensure_ascii=False))
    if problems:
        if not as_json:
            click.echo(f"{len(problems)} to mend: {', '.join(one.check for one in problems)}")
        ctx.exit(CheckFailed.exit_code)
