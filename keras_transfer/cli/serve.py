"""``kt-recipe serve``: an export behind TensorFlow Serving's interface."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from keras_transfer.errors import BadConfiguration
from keras_transfer.quiet import import_tensorflow

__all__ = ["serve"]

PACKAGES = (
    *("starlette", "uvicorn", "prometheus_client"),
    *("grpc", "grpc_reflection", "tensorflow_serving"),
)

SIZES = ("pixels", "request_pixels", "queue_pixels", "text")

COUNT = click.IntRange(1)
PORT = click.IntRange(0, 65535)


@click.command()
@click.argument("export", type=click.Path(path_type=Path), required=False)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of several models in TensorFlow Serving's model_config_list; SIGHUP reads it again.",
)
# Local by default, since the server does not encrypt.
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address; 0.0.0.0: all interfaces."
)
@click.option(
    "--port", type=PORT, default=8501, show_default=True, help="REST port; 0: any free port."
)
@click.option(
    "--grpc-port", type=PORT, default=8500, show_default=True, help="gRPC port; 0: any free port."
)
@click.option("--no-grpc", is_flag=True, help="Serve REST only.")
@click.option("--name", default="", help="Model name; default: that of its folder.")
@click.option("--max-batch", type=COUNT, default=32, show_default=True, help="Examples per batch.")
@click.option(
    "--max-wait", type=click.FloatRange(0), default=0.0, help="Milliseconds to wait for a batch."
)
@click.option(
    "--max-queue", type=COUNT, default=256, show_default=True, help="Examples in the queue."
)
@click.option("--max-body", type=click.FloatRange(0.001), default=32.0, help="Request limit in MB.")
@click.option("--max-pixels", type=COUNT, help="Pixels per image; default 89,478,485.")
@click.option(
    "--max-bodies", type=click.FloatRange(0.001), help="MB of all requests at once; default 134."
)
@click.option("--max-request-pixels", type=COUNT, help="Pixels per request; default 357,913,940.")
@click.option("--max-queue-pixels", type=COUNT, help="Pixels in the queue; default 715,827,880.")
@click.option("--max-text", type=COUNT, help="Bytes per text; default 100,000.")
@click.option("--timeout", type=click.FloatRange(0.1), default=30.0, help="Seconds per request.")
# Also from the environment or a file: other users can see a command line, e.g. by ps.
@click.option("--token", envvar="KT_SERVE_TOKEN", default="", help="Bearer token of requests.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File that holds the token.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "tensorflow", "openvino"]),
    default="auto",
    show_default=True,
    help="Inference engine.",
)
@click.option(
    "--poll",
    type=click.FloatRange(0.1),
    default=2.0,
    help="Seconds between checks for a new version.",
)
@click.option(
    "--examples",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of example images for the page.",
)
@click.option(
    "--allow-host",
    multiple=True,
    help="Further host name that requests may use; repeatable; '*': any.",
)
@click.option(
    "--trust",
    is_flag=True,
    help="Serve a SavedModel with operators that no export of kt-recipe has, such as those that "
    "read and write files.",
)
def serve(export: Path | None, **options: Any) -> None:
    """Serve EXPORT (DIR/MODEL, or DIR/MODEL/VERSION) on REST and gRPC, with a page at /.

    Or serve the models of --config FILE.

    The interface is TensorFlow Serving's: POST /v1/models/NAME:predict. New versions are switched
    to as they appear. Ends by Ctrl-C or SIGTERM, after the requests that have begun.
    """
    if (export is None) == (options["config"] is None):
        raise click.UsageError("Name an EXPORT, or a file of models by --config.")
    if options["config"] is not None and options["name"]:
        raise click.UsageError("--name is for one EXPORT; the file of --config names its models.")
    options["token"] = _token(options["token"], options.pop("token_file"))
    # find_spec imports nothing, so this shows before TensorFlow loads.
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
    sizes = {name: given.pop(f"max_{name}") for name in SIZES if f"max_{name}" in given}
    if "max_bodies" in given:
        sizes["bodies"] = int(1e6 * given.pop("max_bodies"))
    if given.pop("no_grpc"):
        given["grpc_port"] = None
    # Milliseconds on the command line, seconds in the code.
    given["max_wait"] /= 1000
    limits = Limits(body=body, seconds=seconds, **sizes)
    server.serve(export, server.Settings(limits=limits, **given))


def _token(given: str, file: Path | None) -> str:
    """The token, which is in the file if there is one."""
    if file is None:
        return given
    if given:
        raise click.UsageError(
            "The token is given twice: by --token-file, and by --token or KT_SERVE_TOKEN."
        )
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"--token-file {file} cannot be read: {error}.") from None
    # An empty one would let everybody in, and a header holds no line breaks.
    if not token or not token.isprintable() or " " in token:
        raise BadConfiguration(
            f"--token-file {file} should hold the token and nothing else: one line of ASCII "
            "letters, digits and signs, without spaces."
        )
    return token
