"""The page at ``/``: static files, what they need to know, and example images."""

from __future__ import annotations

import logging
import mimetypes
import os
import stat
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from keras_transfer.errors import TransferError
from keras_transfer.exports import Export
from keras_transfer.inputs.images.decode import EXTENSIONS
from keras_transfer.inputs.text import TEXT
from keras_transfer.inputs.text_pair import PAIR
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.served_models import ServedModels

__all__ = ["routes"]

logger = logging.getLogger("keras_transfer")

TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
MOST_EXAMPLES = 24


def routes(versions: ServedModels, examples: Path | None) -> list[BaseRoute]:
    """Make the routes.

    Args:
        versions: Of the models.
        examples: Folder of images to choose from; None for none.
    """
    images = {one.name: one for one in _images(examples)}

    async def file(request: Request) -> Response:
        wanted = request.path_params.get("file", "index.html")
        if wanted not in TYPES:
            return JSONResponse({"error": "Not Found"}, 404)
        content = resources.files(__package__).joinpath("page", wanted).read_bytes()
        return Response(content, media_type=TYPES[wanted], headers=HEADERS)

    async def metadata(request: Request) -> Response:
        asked = request.query_params.get("model")
        name = asked if asked in versions.names else next(iter(versions.names), "")
        document = _described(versions, name)
        document["examples"] = list(images) if document["input"] == "image" else []
        names = {"name": name, "models": versions.names}
        return JSONResponse({**names, **document}, headers=HEADERS)

    async def example(request: Request) -> Response:
        path = images.get(request.path_params["file"])  # of those that were listed, no other
        content = None if path is None else await run_in_threadpool(_read, path)
        if path is None or content is None:
            return JSONResponse({"error": "Not Found"}, 404)
        kind = mimetypes.guess_type(path.name)[0]
        return Response(content, media_type=kind, headers=HEADERS)

    return [
        Route("/", file),
        Route("/page/about.json", metadata),
        Route("/page/examples/{file}", example),
        Route("/page/{file}", file),
    ]


def _images(folder: Path | None) -> list[Path]:
    """The first images of a folder; a link may lead to any file of the machine, so none counts."""
    if folder is None:
        return []
    found = (one for one in sorted(folder.iterdir()) if one.suffix.lower() in EXTENSIONS)
    kept = [one for one in found if one.is_file() and not one.is_symlink() and _can_be_named(one)]
    return kept[:MOST_EXAMPLES]


def _can_be_named(path: Path) -> bool:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        logger.warning("Warning: %a is left out of the examples: its name is not UTF-8.", path.name)
        return False
    return True


def _read(path: Path) -> bytes | None:
    """The bytes of a file; None if it is gone, or has become a link or no file."""
    try:
        # Not to follow a link and not to wait for a pipe that took the file's place.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(handle).st_mode) else None
    except OSError:
        return None


def _described(versions: ServedModels, name: str) -> dict[str, Any]:
    """What a model takes, how it makes a square of an image, and its outputs.

    An image, "" and nothing where it does not say: a SavedModel that this package has not written.
    """
    found: dict[str, Any] = {"input": "image", "resize": "", "outputs": []}
    try:
        model = versions.get(name)
        inputs = model.signature().inputs
        if TEXT in inputs:
            found["input"] = "text"
        elif set(PAIR) == set(inputs):
            found["input"] = "text_pair"
        export = Export(model.folder)
        found["outputs"] = _outputs(export)
        found["resize"] = str(export.metadata.get("resize", ""))
    except (RequestError, TransferError, LookupError, TypeError, AttributeError):
        pass
    return found


def _outputs(export: Export) -> list[dict[str, Any]]:
    return [
        {
            "name": answer.name,
            "prefix": answer.prefix,
            # The page says how an answer is shown by this word.
            "activation": "words" if answer.output.objective.per_token else answer.activation,
            "names": list(answer.output.names),
        }
        for answer in export.answers
    ]
