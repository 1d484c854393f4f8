"""``kt-recipe export``: the model of a run for production."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from keras_transfer.exports.formats import FORMATS, QUANTIZATIONS, check_format
from keras_transfer.quiet import import_tensorflow

__all__ = ["export"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path), help="Folder; default: RUN/export.")
@click.option("--format", "form", default="saved_model", help=", ".join(FORMATS), show_default=True)
@click.option("--quantize", default="none", help=", ".join(QUANTIZATIONS), show_default=True)
@click.option("--name", help="Model name; default: the recipe's.")
@click.option("--data", help="Labelled examples for the check; default: the run's test split.")
@click.option(
    "--max-changed", type=click.FloatRange(0, 1), help="Largest share of changed predictions."
)
@click.option(
    "--max-difference",
    type=click.FloatRange(0),
    help="Largest difference of a probability, or of a value in standard deviations of its target.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def export(run: Path, form: str, quantize: str, as_json: bool, **options: Any) -> None:
    """Write the best model of RUN to TO/NAME/VERSION, if its predictions match those of the model.

    saved_model is for TensorFlow Serving: raw bytes of images, or texts, in; names and
    probabilities (or values) out. litert, onnx and keras take pixels, or the tokens of texts. An
    export that answers otherwise than the model does, on the test examples of the run, is not
    written, and the exit code is 4. Answers are best classes, decisions for labels, or values of
    a regression.
    """
    # Before TensorFlow loads, so that a wrong name or a missing package shows at once.
    check_format(form, quantize)
    import_tensorflow()
    from keras_transfer.exports import export as write

    done = write(run, format=form, quantize=quantize, **options)
    if as_json:
        document = {"export": str(done.folder), **done.metadata}
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        size = sum(file.stat().st_size for file in done.folder.rglob("*") if file.is_file())
        click.echo(f"{done.folder}  {size / 1e6:.1f} MB")
