"""The REST interface under requests that a schema allows, and under many of them."""

import base64
import gc
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from keras_transfer.serving.rest import build_app

schemathesis = pytest.importorskip("schemathesis")

JSON = {"Content-Type": "application/json"}
B64 = {"type": "object", "properties": {"b64": {"type": "string"}}, "required": ["b64"]}
ANY = {"type": ["string", "number", "boolean", "array", "object", "null"]}
PREDICT = {
    "type": "object",
    "properties": {
        "signature_name": {
            "type": "string",
            "enum": ["serving_default", "predict_pixels", "embed", "explain", "forward", "no"],
        },
        "instances": {"type": "array", "items": {"anyOf": [B64, {"type": "number"}, ANY]}},
        "inputs": {"anyOf": [B64, ANY]},
    },
}
CLASSIFY = {
    "type": "object",
    "properties": {
        "signature_name": {"type": "string", "enum": ["classify", "serving_default"]},
        "context": {"type": "object"},
        "examples": {"type": "array", "items": {"anyOf": [{"type": "object"}, ANY]}},
    },
}


def operation(body=None, *names):
    places = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]
    made = {"parameters": places, "responses": {"200": {"description": "answered"}}}
    if body:
        made["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return made


SCHEMA = {
    "openapi": "3.1.0",
    "info": {"title": "TensorFlow Serving's REST interface", "version": "1"},
    "paths": {
        "/v1/models/colours:predict": {"post": operation(PREDICT)},
        "/v1/models/colours/versions/1:predict": {"post": operation(PREDICT)},
        "/v1/models/colours:classify": {"post": operation(CLASSIFY)},
        "/v1/models/{name}": {"get": operation(None, "name")},
        "/v1/models/{name}/versions/{version}": {"get": operation(None, "name", "version")},
        "/v1/models/{name}/metadata": {"get": operation(None, "name")},
        "/page/examples/{file}": {"get": operation(None, "file")},
        "/healthz": {"get": operation()},
    },
}


@pytest.fixture(scope="module")
def schema(service):
    async def document(request):
        return JSONResponse(SCHEMA)

    app = Starlette(routes=[Route("/openapi.json", document), Mount("/", build_app(service))])
    return schemathesis.openapi.from_asgi("/openapi.json", app)


OPERATIONS = [(path, method) for path, methods in SCHEMA["paths"].items() for method in methods]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_of_the_schema_breaks_it(schema, path, method):
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(schema[path][method].as_strategy())
    def attack(case):
        answer = case.call()
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        if answer.status_code >= 400 and path.startswith("/v1/models/colours"):
            assert set(answer.json()) == {"error"}

    attack()


def resident():
    """MB that this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.slow
def test_ten_thousand_requests_leave_no_memory_behind(service, images):
    client = TestClient(build_app(service))
    good = [
        json.dumps({"instances": [{"b64": base64.b64encode(one).decode()}]}).encode()
        for one in images.contents
    ]
    bodies = [*good, b"{", b'{"instances": [1]}', b'{"instances": [{"b64": "aGFsbG8="}]}']

    def ask(count):
        for number in range(count):
            found = client.post(
                "/v1/models/colours:predict", content=bodies[number % len(bodies)], headers=JSON
            )
            assert found.status_code in (200, 400)

    ask(2000)
    before = resident()
    ask(10_000)

    assert resident() - before < 30
