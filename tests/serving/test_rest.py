"""The REST interface, request by request, as TensorFlow Serving documents it."""

import base64
import io
import json
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from keras_transfer.serving.rest import build_app

ASK = "/v1/models/colours:predict"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(service):
    with TestClient(build_app(service)) as client:
        yield client


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def encoded(width, height, form="png"):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, form)
    return file.getvalue()


def test_status(client):
    for path in ("/v1/models/colours", "/v1/models/colours/versions/1"):
        found = client.get(path)
        assert found.status_code == 200
        assert found.headers["content-type"] == "application/json"
        assert found.json() == {
            "model_version_status": [
                {
                    "version": "1",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }


def test_metadata(client):
    found = client.get("/v1/models/colours/metadata").json()

    assert found["model_spec"] == {"name": "colours", "signature_name": "", "version": "1"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    default = signatures["serving_default"]
    assert default["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert default["inputs"]["image_bytes"]["tensor_shape"]["dim"][0]["size"] == "-1"
    assert default["outputs"]["scores"]["dtype"] == "DT_FLOAT"
    assert default["method_name"] == "tensorflow/serving/predict"
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"


@pytest.mark.parametrize(
    "path", [ASK, "/v1/models/colours/versions/1:predict", "/v1/MODELS/colours:PREDICT"]
)
def test_rows(client, images, path):
    instances = [{"image_bytes": b64(one)} for one in images.contents]

    found = client.post(path, json={"instances": instances})

    assert found.status_code == 200
    rows = found.json()["predictions"]
    assert [row["classes"][0] for row in rows] == images.labels
    np.testing.assert_allclose([row["scores"] for row in rows], images.wanted, atol=1e-5)
    for row in rows:
        assert row["probabilities"] == sorted(row["scores"], reverse=True)


def test_rows_of_one_input_need_no_name(client, images):
    found = client.post(ASK, json={"instances": [b64(images.contents[0])]})

    assert found.json()["predictions"][0]["classes"][0] == images.labels[0]


def test_columns(client, images):
    contents = [b64(one) for one in images.contents]
    for inputs in ({"image_bytes": contents}, contents):
        found = client.post(ASK, json={"inputs": inputs}).json()["outputs"]
        assert [names[0] for names in found["classes"]] == images.labels
        np.testing.assert_allclose(found["scores"], images.wanted, atol=1e-5)


def test_a_signature_with_one_output_has_bare_values(client):
    pixels = np.zeros((2, 16, 16, 3)).tolist()

    rows = client.post(ASK, json={"signature_name": "forward", "instances": pixels}).json()
    columns = client.post(ASK, json={"signature_name": "forward", "inputs": pixels}).json()

    assert np.shape(rows["predictions"]) == (2, 2)
    assert rows["predictions"] == columns["outputs"]


def test_classify(client, images):
    found = client.post(
        "/v1/models/colours:classify",
        json={
            "signature_name": "classify",
            "examples": [{"image_bytes": b64(one)} for one in images.contents],
        },
    )

    assert found.status_code == 200
    assert [row[0][0] for row in found.json()["results"]] == images.labels
    assert found.json()["results"][0][0][1] == pytest.approx(max(images.wanted[0]), abs=1e-5)


GOOD = {"instances": [b64(encoded(20, 20))]}


@pytest.mark.parametrize(
    ("method", "path", "document", "status", "said"),
    [
        ("POST", "/v1/models/half:predict", GOOD, 404, "for request: Latest(half)"),
        (
            "POST",
            "/v1/models/colours/versions/7:predict",
            GOOD,
            404,
            "Servable not found for request: Specific(colours, 7)",
        ),
        ("GET", "/v1/models/half", None, 404, "Could not find any versions of model half"),
        (
            "GET",
            "/v1/models/colours/versions/7",
            None,
            404,
            "Could not find version 7 of model colours",
        ),
        ("GET", "/v1/models/half/metadata", None, 404, "Servable not found"),
        ("GET", "/v1/models/colours/labels/x", None, 400, "version label: x"),
        ("POST", "/v1/models/colours:no", GOOD, 400, "Malformed request: POST /v1/mod"),
        ("GET", ASK, None, 400, "Malformed request: GET"),
        ("DELETE", "/v1/models/colours", None, 400, "Malformed request: DELETE"),
        ("POST", ASK, {}, 400, "Missing 'inputs' or 'instances' key"),
        ("POST", ASK, [], 400, "Is not object"),
        (
            "POST",
            ASK,
            {**GOOD, "signature_name": "no"},
            400,
            'Serving signature name: "no" not found in signature def',
        ),
        ("POST", ASK, {"instances": [b64(b"no image")]}, 400, "The file is text, not an image"),
        ("POST", ASK, {"instances": [b64(encoded(20, 20)[:-30])]}, 400, ""),
        ("POST", ASK, {"instances": [b64(encoded(500, 500))]}, 400, "pixels, over 200,000"),
        ("POST", ASK, {"instances": [b64(encoded(2, 2))] * 257}, 400, "hold 256 examples"),
        ("POST", ASK, {"instances": [b64(b"x" * 300_000)]}, 413, "more than 300,000 bytes"),
        (
            "POST",
            "/v1/models/colours:classify",
            {"examples": [{"image_bytes": "x"}]},
            400,
            "method_name to be tensorflow/serving/classify. Was: tensorflow/serving/predict",
        ),
        (
            "POST",
            "/v1/models/colours:classify",
            {"signature_name": "classify", "examples": [{"other": "x"}]},
            400,
            "image_bytes",
        ),
        ("POST", "/v1/models/colours:classify", {"signature_name": "classify"}, 400, "'examples'"),
        (
            "POST",
            "/v1/models/colours:classify",
            {"signature_name": "classify", "examples": [{"image_bytes": None}]},
            400,
            "unexpected JSON type: Null",
        ),
        ("POST", "/v1/models/colours:regress", GOOD, 400, "'examples' is expected"),
        (
            "POST",
            "/v1/models/colours:regress",
            {"examples": [{"image_bytes": "x"}]},
            400,
            "method_name to be tensorflow/serving/regress. Was: tensorflow/serving/predict",
        ),
        ("GET", "/v1/../setup.cfg", None, 404, ""),
        ("GET", "/page/..%2f..%2f..%2fsetup.cfg", None, 404, ""),
        ("GET", "/page/examples/..%2fexport.json", None, 404, ""),
        ("GET", "/page/page.py", None, 404, ""),
    ],
)  # fmt: skip
def test_errors(client, method, path, document, status, said):
    found = client.request(method, path, json=document)

    assert found.status_code == status, found.text
    if path.startswith("/v1/models"):
        assert set(found.json()) == {"error"}
        assert said in found.json()["error"]


def test_a_bad_image_beside_good_ones_is_refused_whole(client, images):
    instances = [b64(images.contents[0]), b64(b"no image")]

    assert client.post(ASK, json={"instances": instances}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        rb'{"signature_name": "\ud800", "instances": [""]}',
        rb'{"inputs": {"image_bytes": [""], "\uDFFF": 1}}',
        b'{"signature_name": "\xed\xa0\x80", "instances": [""]}',
        '{"instances": [""]}'.encode("utf-16"),
    ],
)
def test_text_that_cannot_be_quoted_is_refused(client, body):
    found = client.post(ASK, content=body, headers=JSON)

    assert (found.status_code, found.json()["error"][:16]) == (400, "JSON Parse error")


@pytest.mark.parametrize("host", ["[", "a]b", "x?y", "#", ""])
def test_the_host_header_does_not_matter(client, host):
    assert client.get("/v1/models/colours", headers={"Host": host}).status_code == 200


def test_a_large_request_has_the_answers_of_small_ones(make_service, saved, images):
    client = TestClient(build_app(make_service(saved.folder.parent, max_batch=2)))
    instances = [b64(one) for one in images.contents[:1] * 4 + images.contents[1:2]]

    rows = client.post(ASK, json={"instances": instances}).json()["predictions"]

    wanted = [images.wanted[0]] * 4 + [images.wanted[1]]
    np.testing.assert_allclose([row["scores"] for row in rows], wanted, atol=1e-5)


def test_a_token_is_wanted(service):
    client = TestClient(build_app(service, token="sesame"))

    for path in ("/v1/models/colours", "/monitoring/prometheus/metrics"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer open"}).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer sesame"}).status_code == 200
    assert client.post(ASK, json=GOOD).status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200  # the page asks for the token


def test_too_many_requests_are_refused_at_once(make_service, saved, images):
    service = make_service(saved.folder.parent, max_queue=1)
    client = TestClient(build_app(service))
    model = service.versions.get("colours")
    held, go = threading.Event(), threading.Event()
    run = model.run

    def slow(signature, inputs):
        held.set()
        assert go.wait(60)
        return run(signature, inputs)

    model.run = slow
    document = {"instances": [b64(images.contents[0])]}
    first = threading.Thread(target=client.post, args=(ASK,), kwargs={"json": document})
    first.start()
    held.wait(60)
    waiting = threading.Thread(target=client.post, args=(ASK,), kwargs={"json": document})
    waiting.start()
    while not service.batcher.waiting:
        pass
    refused = client.post(ASK, json=document)
    go.set()
    first.join()
    waiting.join()

    assert refused.status_code == 503
    assert "Too many requests" in refused.json()["error"]


def test_what_takes_too_long_is_given_up(make_service, saved):
    from keras_transfer.serving.service import Limits

    service = make_service(saved.folder.parent, Limits(seconds=0.2))
    go = threading.Event()
    service.versions.get("colours").run = lambda *words: go.wait(30)
    found = TestClient(build_app(service)).post(ASK, json=GOOD)
    go.set()

    assert (found.status_code, found.json()) == (503, {"error": "The request took too long"})


def test_metrics_count_requests(make_service, saved):
    client = TestClient(build_app(make_service(saved.folder.parent)))
    client.post(ASK, json=GOOD)
    client.post(ASK, json={})

    text = client.get("/monitoring/prometheus/metrics").text

    count = ':tensorflow:serving:request_count{model_name="colours",status='
    assert f'{count}"OK"}} 1.0' in text
    assert f'{count}"INVALID_ARGUMENT"}} 1.0' in text
    assert ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="REST"' in text


def test_health(client, tmp_path, make_service):
    assert client.get("/healthz").json() == {"ready": True}
    empty = TestClient(build_app(make_service(tmp_path)))
    assert empty.get("/healthz").status_code == 503


QUIET = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.builds(lambda content: b64(content), st.binary(max_size=60)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
SIGNATURES = st.sampled_from(
    ["serving_default", "predict_pixels", "embed", "classify", "explain", "decode", "forward", ""]
)


@QUIET
@given(
    signature=SIGNATURES,
    key=st.sampled_from(["instances", "inputs", "examples"]),
    value=VALUES,
    api=st.sampled_from(["predict", "classify", "regress"]),
)
def test_whatever_is_asked_nothing_breaks(client, signature, key, value, api):
    body = json.dumps({"signature_name": signature, key: value}).encode("utf-8", "surrogatepass")

    found = client.post(f"/v1/models/colours:{api}", content=body, headers=JSON)

    assert found.status_code in (200, 400), found.text


@QUIET
@given(
    content=st.binary(max_size=400),
    place=st.integers(0, 200),
    form=st.sampled_from(["png", "jpeg", "gif", "bmp", "webp"]),
)
def test_whatever_bytes_stand_for_an_image_nothing_breaks(client, content, place, form):
    whole = encoded(20, 20, form)
    broken = whole[: place % len(whole)] + content + whole[(place % len(whole)) + len(content) :]

    found = client.post(ASK, json={"instances": [b64(broken)]})

    assert found.status_code in (200, 400), found.text


@QUIET
@given(body=st.binary(max_size=300), path=st.text("abc/:.%_ 01", max_size=20))
def test_whatever_path_and_body_nothing_breaks(client, body, path):
    for method in ("GET", "POST"):
        found = client.request(method, f"/v1/{path}", content=body, headers=JSON)
        assert found.status_code < 500  # 200 where ".." leads to the page or the health


@pytest.mark.parametrize("signature", ["serving_default", "classify"])
def test_tiff_is_answered_as_png_is(client, signature):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), "uint8")
    answers = []
    for form in ("png", "tiff"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, form)
        if signature == "classify":
            asked = {
                "signature_name": "classify",
                "examples": [{"image_bytes": b64(file.getvalue())}],
            }
            answers.append(client.post(ASK.replace(":predict", ":classify"), json=asked).json())
        else:
            answers.append(client.post(ASK, json={"instances": [b64(file.getvalue())]}).json())

    assert answers[0] == answers[1]
    assert "error" not in answers[0]
