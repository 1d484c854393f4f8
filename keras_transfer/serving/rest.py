"""TensorFlow Serving's REST interface on Starlette."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from keras_transfer.serving import page, payload
from keras_transfer.serving.errors import HTTP, RequestError
from keras_transfer.serving.inference import CLASSIFY, REGRESS
from keras_transfer.serving.service import PendingRequest, Service

__all__ = ["METRICS", "build_app"]

METRICS = "/monitoring/prometheus/metrics"

# At most 18 digits, so that a version fits into an int64.
_VERSION = r"(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
ASK = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<api>classify|regress|predict)", re.I)
LOOK = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}(?P<metadata>/metadata)?", re.I)

APIS = {
    "classify": (CLASSIFY, payload.classify_outputs),
    "regress": (REGRESS, payload.regress_outputs),
}

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(service: Service, *, token: str = "", examples: Path | None = None) -> Starlette:
    """Make the application.

    Args:
        service: Answers.
        token: What ``Authorization: Bearer`` must say; "" for no such demand.
        examples: Folder of images that the page shows.
    """

    async def health(request: Request) -> Response:
        ready = service.versions.ready
        return _json({"ready": ready}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.page(), media_type="text/plain; version=0.0.4")

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def guarded_endpoint(request: Request) -> Response:
            try:
                _authorize(request, token)
                return await endpoint(request)
            except RequestError as error:
                return _json({"error": str(error)}, HTTP[error.code])
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it

        return guarded_endpoint

    async def v1(request: Request) -> Response:
        return await _v1(service, request)

    # All methods, so that a wrong one gets TensorFlow Serving's message and not Starlette's.
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
    routes = [
        Route("/healthz", health, methods=["GET"]),
        Route(METRICS, guarded(metrics), methods=["GET"]),
        Route("/v1/{rest:path}", guarded(v1), methods=methods),
        *page.routes(service.versions, examples),
    ]
    return Starlette(routes=routes)


def _authorize(request: Request, token: str) -> None:
    given = request.headers.get("authorization", "")
    if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise RequestError(
            "UNAUTHENTICATED", "A bearer token is wanted: Authorization: Bearer TOKEN"
        )


async def _v1(service: Service, request: Request) -> Response:
    path = request.scope["path"]  # request.url would parse the Host header, too
    ask, look = ASK.fullmatch(path), LOOK.fullmatch(path)
    if request.method == "POST" and ask:
        return await _ask(service, request, ask)
    if request.method == "GET" and look:
        version = _version(service, look)
        if look["metadata"]:
            return _json(service.metadata(look["name"], version))
        return _json(service.status(look["name"], version))
    raise RequestError("INVALID_ARGUMENT", f"Malformed request: {request.method} {path}")


def _version(service: Service, found: re.Match) -> int | None:
    if found["label"]:
        return service.versions.labelled(found["name"], found["label"])
    return int(found["version"]) if found["version"] else None


async def _ask(service: Service, request: Request, found: re.Match) -> Response:
    api = found["api"].lower()
    seconds = service.limits.seconds
    with service.measured(api.capitalize(), "REST", found["name"]):
        model = service.versions.get(found["name"], _version(service, found))
        body = await _in_time(_body(request, service.limits.body), seconds)
        # In a thread: reading megabytes of JSON would hold up all other requests.
        asked, finish = await run_in_threadpool(_parsed, service, model, api, body)
        outputs = await _in_time(_answer(asked.answer), seconds)
        text = await run_in_threadpool(lambda: _text(finish(outputs)))
        return Response(text, media_type="application/json")


async def _in_time(awaited: Coroutine[Any, Any, Any], seconds: float) -> Any:
    try:
        return await asyncio.wait_for(awaited, seconds)
    except asyncio.TimeoutError:  # not the builtin one before Python 3.11
        raise RequestError("UNAVAILABLE", "The request took too long") from None


def _parsed(
    service: Service, model: Any, api: str, body: bytes
) -> tuple[PendingRequest, Callable[[Any], dict[str, Any]]]:
    """Take a request on; and how to lay out its answer."""
    document = payload.parse(body)
    signature = document.get("signature_name", "")
    if api == "predict":
        specs = model.signature(signature).inputs
        inputs, rows = payload.predict_inputs(document, specs)
        asked = service.predict(model, signature, inputs)
        return asked, lambda outputs: payload.predict_outputs(outputs, rows)
    method, laid_out = APIS[api]
    asked = service.infer(model, method, signature, payload.examples(document))
    return asked, laid_out


async def _answer(answer: Future) -> Any:
    return await asyncio.wrap_future(answer)


async def _body(request: Request, most: int) -> bytes:
    # Refused before it is read, where the header says so; chunks are counted, as it may be absent.
    said = request.headers.get("content-length", "0")
    content = bytearray()
    if not said.isdecimal() or int(said) <= most:
        async for chunk in request.stream():
            content += chunk
            if len(content) > most:
                break
        else:
            return bytes(content)
    raise RequestError("RESOURCE_EXHAUSTED", f"The request has more than {most:,} bytes")


def _json(document: Any, status: int = 200) -> Response:
    return Response(_text(document), status_code=status, media_type="application/json")


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)
