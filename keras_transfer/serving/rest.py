"""TensorFlow Serving's REST interface on Starlette."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keras_transfer.serving import page, payload
from keras_transfer.serving.access import Access, Hosts
from keras_transfer.serving.admission import RequestContext
from keras_transfer.serving.bodies import HeldBody
from keras_transfer.serving.boundary import Boundary, json_response, not_found
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.inference import CLASSIFY, REGRESS
from keras_transfer.serving.messages import echo
from keras_transfer.serving.service import PendingRequest, Service

__all__ = ["METRICS", "build_app"]

METRICS = "/monitoring/prometheus/metrics"

# At most as many digits as an int64 has.
_VERSION = r"(?:/versions/(?P<version>\d{1,19})|/labels/(?P<label>[^/:]+))?"
ASK = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<api>classify|regress|predict)", re.I)
LOOK = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}(?P<metadata>/metadata)?", re.I)

APIS = {
    "classify": (CLASSIFY, payload.classify_outputs),
    "regress": (REGRESS, payload.regress_outputs),
}


def build_app(
    service: Service,
    *,
    token: str = "",
    examples: Path | None = None,
    hosts: Hosts | None = None,
) -> Starlette:
    """Make the application.

    Args:
        service: Answers.
        token: What ``Authorization: Bearer`` must say; "" for no such demand.
        examples: Folder of images that the page shows.
        hosts: Names that requests may call the server by; None for any.
    """

    async def health(request: Request) -> Response:
        ready = service.versions.ready
        return json_response({"ready": ready}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.page(), media_type="text/plain; version=0.0.4")

    async def v1(request: Request) -> Response:
        return await _v1(service, request)

    # All methods, so that a wrong one gets TensorFlow Serving's message and not Starlette's.
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
    routes = [
        Route("/healthz", health, methods=["GET"]),
        Route(METRICS, metrics, methods=["GET"]),
        Route("/v1/{rest:path}", v1, methods=methods),
        *page.routes(service.versions, examples),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Boundary), Middleware(Access, token=token, hosts=hosts)],
        exception_handlers={HTTPException: not_found},
    )
    # "/x/" is not sent to "/x": the address would come from the Host header.
    app.router.redirect_slashes = False
    return app


async def _v1(service: Service, request: Request) -> Response:
    path = request.scope["path"]  # request.url would parse the Host header, too
    ask, look = ASK.fullmatch(path), LOOK.fullmatch(path)
    if request.method == "POST" and ask:
        return await _ask(service, request, ask)
    if request.method == "GET" and look:
        version = _version(service, look)
        if look["metadata"]:
            return json_response(service.metadata(look["name"], version))
        return json_response(service.status(look["name"], version))
    raise RequestError("INVALID_ARGUMENT", f"Malformed request: {request.method} {echo(path)}")


def _version(service: Service, found: re.Match) -> int | None:
    if found["label"]:
        return service.versions.labelled(found["name"], found["label"])
    return int(found["version"]) if found["version"] else None


async def _ask(service: Service, request: Request, found: re.Match) -> Response:
    api = found["api"].lower()
    seconds = service.limits.seconds
    with service.measured(api.capitalize(), "REST", found["name"]):
        model = service.versions.get(found["name"], _version(service, found))
        service.check_room()
        held = HeldBody(service.bodies)
        try:
            body = await _in_time(held.read(request, service.limits.body), seconds)
            with RequestContext(seconds).entered() as context:
                answering = _answer(service, model, api, body)
                text = await _while_connected(request, answering, context)
        finally:
            held.release()
        return Response(text, media_type="application/json")


async def _answer(service: Service, model: Any, api: str, body: bytes) -> str:
    # In threads: reading megabytes of JSON would hold up all other requests.
    run, size = service.workers.run, len(body)
    asked, finish = await run(size, _parsed, service, model, api, body)
    outputs = await asyncio.wrap_future(asked.answer)
    return await run(size, lambda: _text(finish(outputs)))


async def _in_time(awaited: Coroutine[Any, Any, Any], seconds: float) -> Any:
    try:
        return await asyncio.wait_for(awaited, seconds)
    except TimeoutError:
        raise RequestError("UNAVAILABLE", "The request took too long") from None


async def _while_connected(
    request: Request, answering: Coroutine[Any, Any, str], context: RequestContext
) -> str:
    """Wait for an answer as long as it is in time and the client is there."""
    answered = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(_disconnected(request))
    tasks = (answered, gone)
    try:
        await asyncio.wait(tasks, timeout=context.left, return_when=asyncio.FIRST_COMPLETED)
        if answered.done():
            return answered.result()
        if gone.done():
            raise RequestError("CANCELLED", "The client is gone")
        raise RequestError("UNAVAILABLE", "The request took too long")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


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


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)
