"""A served export of texts, on REST and gRPC: answers, limits and refusals."""

import base64
import shutil

import numpy as np
import pytest
from encoded import png
from starlette.testclient import TestClient
from texts_runs import NAMES, STARS

from keras_transfer.serving import openvino_model
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.limits import check_text
from keras_transfer.serving.rest import build_app
from keras_transfer.serving.service import Limits

SENTENCES = ["a good film", "The plot is DULL, and cold!", "lovely 👍🏽 中", "noisy " * 40]
IMAGE = png(4, 3)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"


@pytest.fixture(scope="module")
def serve(make_service, text_export):
    """A function that serves a row's export; a text may have 500 bytes."""
    made = {}

    def serve(name="classes"):
        if name not in made:
            base = text_export(name).folder.parent
            made[name] = make_service(base, Limits(text=500), name=name)
        return made[name]

    return serve


@pytest.fixture
def post(serve):
    """A function that asks a row's export, and gives the status and the document."""

    def post(document, api="predict", name="classes"):
        client = TestClient(build_app(serve(name)))
        answer = client.post(f"/v1/models/{name}:{api}", json=document)
        return answer.status_code, answer.json()

    return post


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


FORMS = {
    "strings": {"instances": SENTENCES},
    "named": {"instances": [{"text": text} for text in SENTENCES]},
    "bytes": {"instances": [{"text": b64(text.encode())} for text in SENTENCES]},
    "signature": {"signature_name": "serving_default", "instances": SENTENCES},
}


@pytest.mark.parametrize("form", FORMS)
def test_sentences_are_answered_as_the_run_does(post, text_run, form):
    status, document = post(FORMS[form])

    assert status == 200, document
    for row, wanted in zip(document["predictions"], text_run().predict(SENTENCES), strict=True):
        assert row["scores"] == pytest.approx(wanted.probabilities.tolist(), abs=1e-5)
        assert row["classes"] == [name for name, _ in wanted.top(2)]


def test_columns_hold_the_same(post):
    _, rows = post({"instances": SENTENCES})
    _, columns = post({"inputs": {"text": SENTENCES}})

    scores = [row["scores"] for row in rows["predictions"]]
    np.testing.assert_allclose(columns["outputs"]["scores"], scores, atol=1e-6)


@pytest.mark.parametrize("name", NAMES[1:])
def test_other_objectives_are_answered_as_the_run_does(post, text_run, name):
    status, document = post({"instances": SENTENCES[:2]}, name=name)

    assert status == 200, document
    wanted = text_run(name).predict(SENTENCES[:2])
    for row, one in zip(document["predictions"], wanted, strict=True):
        if name == "values":
            assert row == pytest.approx(one.probabilities.tolist(), abs=1e-4)
        if name == "about":
            assert row["about_scores"] == pytest.approx(one.scores["about"].tolist(), abs=1e-5)
        if name == "tasks":
            assert row["label_classes"][0] == one.answers()["label"]
            assert row["stars_of_5_values"] == pytest.approx([one.answers()[STARS]], abs=1e-4)


def test_classify(post, text_run):
    status, document = post(
        {"signature_name": "classify", "examples": [{"text": text} for text in SENTENCES]},
        "classify",
    )

    assert status == 200, document
    for row, wanted in zip(document["results"], text_run().predict(SENTENCES), strict=True):
        assert [name for name, _ in row] == [name for name, _ in wanted.top(2)]
        assert row[0][1] == pytest.approx(wanted.top(1)[0][1], abs=1e-5)


TOO_LONG = "The text has 501 bytes, over 500. Send a shorter one"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [""]}, "The text is empty"),
        ({"instances": ["good", " \n\u200b"]}, "The text is empty"),
        ({"instances": [3]}, "is not of expected type: string"),
        ({"instances": [None]}, "is not of expected type: string"),
        ({"instances": [["good"]]}, "should have the shape (any); got (1, 1)"),
        ({"instances": ["g" * 501]}, TOO_LONG),
        ({"instances": ["é" * 250 + "é"]}, "The text has 502 bytes"),
        (
            {"instances": [b64(b"good \xff")]},
            "The text is not UTF-8 (invalid start byte at byte 5)",
        ),
        ({"instances": [b64(IMAGE)]}, "It is a PNG file"),
        ({"instances": [{"text": b64(JPEG)}]}, "It is a JPEG file"),
        ({"instances": [{"image_bytes": b64(IMAGE)}]}, "keys must be equal to: text"),
        ({"inputs": {"image_bytes": [b64(IMAGE)]}}, "Missing named input: text"),
        ({"instances": ["good"] * 257}, "A request may hold 256 examples; this one has 257"),
        ({"signature_name": "explain", "instances": ["good"]}, '"explain" not found'),
    ],
)
def test_what_is_refused(post, document, said):
    status, answer = post(document)

    assert (status, said in answer["error"]) == (400, True), answer


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"text": ""}, "The text is empty"),
        ({"text": "g" * 501}, TOO_LONG),
        ({"text": b64(IMAGE)}, "It is a PNG file"),
        ({"image_bytes": b64(IMAGE)}, "text"),
    ],
)
def test_what_classify_refuses(post, example, said):
    status, answer = post({"signature_name": "classify", "examples": [example]}, "classify")

    assert (status, said in answer["error"]) == (400, True), answer


def test_a_text_that_is_sent_to_a_model_of_images_is_said(service):
    client = TestClient(build_app(service))

    for instance, said in (
        ("a good film", "is text, not an image"),
        ({"text": "x"}, "image_bytes"),
    ):
        answer = client.post("/v1/models/colours:predict", json={"instances": [instance]})
        assert (answer.status_code, said in answer.json()["error"]) == (400, True)


def test_the_limit_is_exact():
    assert check_text(b"12345", 5) == b"12345"
    with pytest.raises(RequestError, match="has 6 bytes, over 5"):
        check_text(b"123456", 5)


def test_metadata_name_the_input(serve):
    document = TestClient(build_app(serve())).get("/v1/models/classes/metadata").json()

    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["text"]["dtype"] == "DT_STRING"
    assert set(signatures) == {"serving_default", "embed", "tokenize", "forward", "classify"}


def test_requests_are_answered_together_as_alone(serve, text_run):
    service = serve()
    model = service.versions.get("classes")
    asked = [
        service.predict(model, "", {"text": np.array([text.encode()], object)})
        for text in SENTENCES
    ]

    for one, wanted in zip(asked, text_run().predict(SENTENCES), strict=True):
        found = one.answer.result(60)
        np.testing.assert_allclose(found["scores"], [wanted.probabilities], atol=1e-5)
        assert found["classes"][0, 0].decode() == wanted.label


def test_a_large_request_is_answered_in_pieces(make_service, text_export, text_run):
    service = make_service(text_export().folder.parent, name="classes", max_batch=3)
    client = TestClient(build_app(service))

    answer = client.post("/v1/models/classes:predict", json={"instances": SENTENCES * 2}).json()

    wanted = [one.probabilities for one in text_run().predict(SENTENCES * 2)]
    found = [row["scores"] for row in answer["predictions"]]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_grpc(serve, text_run):
    grpc = pytest.importorskip("grpc")
    import tensorflow as tf
    from tensorflow_serving.apis import (
        classification_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    from keras_transfer.serving.grpc_api import build_grpc

    server, port = build_grpc(serve(), "127.0.0.1:0")
    server.start()
    wanted = text_run().predict(SENTENCES)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            asked = predict_pb2.PredictRequest()
            asked.model_spec.name = "classes"
            asked.inputs["text"].CopyFrom(tf.make_tensor_proto(SENTENCES))
            scores = tf.make_ndarray(stub.Predict(asked, timeout=60).outputs["scores"])
            np.testing.assert_allclose(scores, [one.probabilities for one in wanted], atol=1e-5)

            asked.inputs["text"].CopyFrom(tf.make_tensor_proto([IMAGE]))
            with pytest.raises(grpc.RpcError) as refused:
                stub.Predict(asked, timeout=60)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "It is a PNG file" in refused.value.details()

            asked = classification_pb2.ClassificationRequest()
            asked.model_spec.name, asked.model_spec.signature_name = "classes", "classify"
            for text in SENTENCES:
                feature = asked.input.example_list.examples.add().features.feature["text"]
                feature.bytes_list.value.append(text.encode())
            rows = stub.Classify(asked, timeout=60).result.classifications
            assert [row.classes[0].label for row in rows] == [one.label for one in wanted]
    finally:
        server.stop(None).wait()


@pytest.mark.skipif(not openvino_model.pays(), reason="OpenVINO is not installed")
def test_tensorflow_answers_where_openvino_answers_images(text_export, text_run):
    model = openvino_model.OpenVinoModel("classes", 1, text_export().folder)

    found = model.run("serving_default", {"text": np.array([b"a good film"], object)})

    assert model._engine is None
    wanted = text_run().predict("a good film")[0].probabilities
    np.testing.assert_allclose(found["scores"], [wanted], atol=1e-5)


def test_the_page_is_told_that_it_takes_texts(serve, odd):
    told = TestClient(build_app(serve(), examples=odd[0].parent)).get("/page/about.json").json()

    outputs = [{"name": "label", "prefix": "", "activation": "softmax", "names": ["bad", "good"]}]
    assert told == {
        "name": "classes", "models": ["classes"], "input": "text", "resize": "",
        "outputs": outputs, "examples": [],
    }  # fmt: skip


def test_a_saved_model_of_others_that_takes_texts(make_service, text_export, tmp_path):
    """Without ``export.json`` the signature says it."""
    shutil.copytree(text_export().folder, tmp_path / "other" / "1")
    (tmp_path / "other" / "1" / "export.json").unlink()
    service = make_service(tmp_path / "other", name="other")

    told = TestClient(build_app(service)).get("/page/about.json").json()

    assert (told["input"], told["outputs"]) == ("text", [])
