"""Who may ask: tokens, host names, origins, content types; and what links lead to."""

import base64
import os
import socket
import threading

import grpc
import pytest
from starlette.testclient import TestClient
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_transfer.serving.access import Hosts
from keras_transfer.serving.grpc_api import build_grpc
from keras_transfer.serving.rest import build_app

ASK = "/v1/models/colours:predict"
TOKEN = {"Authorization": "Bearer sesame"}


@pytest.fixture(scope="module")
def document(images):
    return {"instances": [{"b64": base64.b64encode(images.contents[0]).decode()}]}


def test_the_page_shows_nothing_of_the_model_without_the_token(service, odd):
    client = TestClient(build_app(service, token="sesame", examples=odd[0].parent))
    example = f"/page/examples/{odd[0].name}"

    for path in ("/page/about.json", example, "/page/examples/none", "/page/none.js", "/none"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer open"}).status_code == 401
    assert client.get("/page/about.json", headers=TOKEN).json()["name"] == "colours"
    assert client.get(example, headers=TOKEN).content == odd[0].read_bytes()
    for path in ("/", "/page/page.js", "/page/page.css", "/healthz"):
        assert "colours" not in client.get(path).text
        assert client.get(path).status_code == 200


def test_a_token_may_have_any_letters(service):
    client = TestClient(build_app(service, token="schlüssel"))

    good = {"Authorization": "Bearer schlüssel".encode()}
    assert client.get("/v1/models/colours", headers=good).status_code == 200
    bad = {"Authorization": b"Bearer schl\xff"}
    assert client.get("/v1/models/colours", headers=bad).status_code == 401


def test_links_in_the_examples_are_not_followed(service, odd, tmp_path):
    suffix = odd[0].suffix
    secret = tmp_path / f"secret{suffix}"
    secret.write_bytes(odd[0].read_bytes())
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / f"a{suffix}").write_bytes(odd[0].read_bytes())
    (shown / f"b{suffix}").symlink_to(secret)
    (shown / f"c{suffix}").symlink_to("/etc/passwd")
    os.mkfifo(shown / f"d{suffix}")
    client = TestClient(build_app(service, examples=shown))

    assert client.get("/page/about.json").json()["examples"] == [f"a{suffix}"]
    assert client.get(f"/page/examples/b{suffix}").status_code == 404
    # A file that becomes a link, or a pipe, while the server runs.
    (shown / f"a{suffix}").unlink()
    (shown / f"a{suffix}").symlink_to(secret)
    assert client.get(f"/page/examples/a{suffix}").status_code == 404
    (shown / f"a{suffix}").unlink()
    os.mkfifo(shown / f"a{suffix}")
    assert client.get(f"/page/examples/a{suffix}").status_code == 404


LOCAL, NAMED = Hosts("127.0.0.1"), Hosts("127.0.0.1", ("Models.example",))
ALL, IPV6 = Hosts("0.0.0.0"), Hosts("fd00::1")


@pytest.mark.parametrize(
    ("hosts", "host", "taken"),
    [
        (LOCAL, "localhost:8501", True),
        (LOCAL, "LOCALHOST.", True),
        (LOCAL, "127.0.0.1", True),
        (LOCAL, "[::1]:8501", True),
        (LOCAL, "evil.example:8501", False),
        (LOCAL, "127.0.0.1.evil.example", False),
        (LOCAL, "192.168.1.5", False),
        (LOCAL, ":8501", False),
        (LOCAL, "[", False),
        (LOCAL, "a]b", False),
        (LOCAL, "localhost@evil.example", False),
        (LOCAL, "", True),  # no browser leaves it out
        (NAMED, "models.example:8501", True),
        (NAMED, "evil.models.example", False),
        (ALL, "192.168.1.5:8501", True),
        (ALL, "[fd00::1]:8501", True),
        (ALL, "evil.example", False),
        (IPV6, "[fd00::1]:8501", True),
        (Hosts("127.0.0.1", ("*",)), "evil.example", True),
    ],
)
def test_only_known_host_names_are_answered(service, hosts, host, taken):
    client = TestClient(build_app(service, hosts=hosts))

    for path in ("/healthz", "/", "/v1/models/colours", "/page/about.json"):
        found = client.get(path, headers={"Host": host})
        assert found.status_code == (200 if taken else 403)
        assert taken or "--allow-host" in found.json()["error"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:8501", 200),
        ("http://LOCALHOST:8501", 200),
        ("https://models.example", 200),
        ("http://localhost:9999", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_of_others_may_not_post(service, document, origin, status):
    client = TestClient(build_app(service, hosts=NAMED))
    headers = {"Host": "localhost:8501"} | ({} if origin is None else {"Origin": origin})

    found = client.post(ASK, json=document, headers=headers)

    assert found.status_code == status, found.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "Application/JSON", "Content-Encoding": "identity"}, 200),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 400),
        ({}, 400),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 400),
    ],
)
def test_a_request_says_that_it_is_json(service, document, headers, status):
    """A form, and a script's plain text, can be sent by any page; JSON is asked about first."""
    client = TestClient(build_app(service))
    content = client.build_request("POST", ASK, json=document).content

    found = client.post(ASK, content=content, headers=headers)

    assert found.status_code == status
    assert status == 200 or "Content-" in found.json()["error"]


@pytest.mark.parametrize(
    "path", ["/healthz/", "/v1/models/colours/", "/page/page.js/", "/page/about.json/"]
)
def test_nothing_leads_to_the_host_of_the_header(service, path):
    client = TestClient(build_app(service), follow_redirects=False)

    found = client.get(path, headers={"Host": "evil.example"})

    assert found.status_code in (400, 404)
    assert "location" not in found.headers
    assert "evil" not in found.text


def test_grpc_refuses_before_the_message_is_there(service, images):
    """Without a token: a message of which only the beginning is sent is refused all the same."""
    server, port = build_grpc(service, "127.0.0.1:0", token="sesame")
    server.start()
    asked, sent = predict_pb2.PredictRequest(), threading.Event()
    asked.inputs["image_bytes"].string_val.append(b"x" * 100)

    def messages():
        sent.wait(30)  # nothing is sent before the answer is there
        yield asked

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = "/tensorflow.serving.PredictionService/Predict"
        serializer = predict_pb2.PredictRequest.SerializeToString
        call = channel.stream_unary(method, request_serializer=serializer)
        with pytest.raises(grpc.RpcError) as caught:
            call(messages(), timeout=20)
        sent.set()
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tensorflow.serving.None/None")(b"", timeout=20)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(asked, metadata=[("authorization", "Bearer sesame")], timeout=20)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    server.stop(None)


def raw(address, text):
    """What a server answers to bytes."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(text)
        return connection.makefile("rb").readline()


def test_a_health_check_on_http_1_0_names_no_host(service, at_address):
    with at_address(service, hosts=Hosts()) as address:
        assert b" 200 " in raw(address, b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 403 " in raw(address, b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n")
