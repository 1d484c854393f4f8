"""``kt-recipe serve``: an export behind TensorFlow Serving's interface."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from keras_transfer.errors import BadConfiguration
from keras_transfer.quiet import import_tensorflow

__all__ = ["serve"]

PACKAGES = ("starlette", "uvicorn", "grpc", "tensorflow_serving", "prometheus_client")

COUNT = click.IntRange(1)
PORT = click.IntRange(0, 65535)


@click.command()
@click.argument("export", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: from anywhere.")
@click.option("--port", type=PORT, default=8501, show_default=True, help="REST; 0: a free one.")
@click.option("--grpc-port", type=PORT, default=8500, show_default=True, help="0: a free one.")
@click.option("--no-grpc", is_flag=True, help="REST alone.")
@click.option("--name", default="", help="Of the model; by default its folder's.")
@click.option("--max-batch", type=COUNT, default=32, show_default=True, help="Images a batch.")
@click.option("--max-wait", type=click.FloatRange(0), default=0.0, help="Milliseconds for a batch.")
@click.option("--max-queue", type=COUNT, default=256, show_default=True, help="Images waiting.")
@click.option("--max-body", type=click.FloatRange(0.001), default=32.0, help="MB of a request.")
@click.option("--max-pixels", type=COUNT, help="Of an image; 89,478,485 by default.")
@click.option("--timeout", type=click.FloatRange(0.1), default=30.0, help="Seconds for an answer.")
@click.option("--token", envvar="KT_SERVE_TOKEN", default="", help="Bearer token of requests.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "tensorflow", "openvino"]),
    default="auto",
    show_default=True,
    help="What runs the network.",
)
@click.option("--poll", type=click.FloatRange(0.1), default=2.0, help="Seconds to a new version.")
@click.option(
    "--examples",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of images that the page shows.",
)
def serve(export: Path, **options: Any) -> None:
    """Serve EXPORT (DIR/MODEL, or DIR/MODEL/VERSION) on REST and gRPC, with a page at /.

    The interface is TensorFlow Serving's: POST /v1/models/NAME:predict. New versions are switched
    to as they appear. Ends by Ctrl-C or SIGTERM, after the requests that have begun.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise BadConfiguration(
            f"serve needs {', '.join(missing)}: pip install 'keras_transfer[serve]'."
        )
    import_tensorflow()
    from keras_transfer.serving import server
    from keras_transfer.serving.service import Limits

    given = {name: value for name, value in options.items() if value is not None}
    body, seconds = int(1e6 * given.pop("max_body")), given.pop("timeout")
    pixels = {"pixels": given.pop("max_pixels")} if "max_pixels" in given else {}
    if given.pop("no_grpc"):
        given["grpc_port"] = None
    given["max_wait"] /= 1000
    limits = Limits(body=body, seconds=seconds, **pixels)
    server.serve(export, server.Settings(limits=limits, **given))
