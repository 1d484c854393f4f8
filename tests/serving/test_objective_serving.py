"""Served exports of several labels, of values and of two outputs, on REST, gRPC and OpenVINO."""

import base64

import numpy as np
import pytest
from objectives_runs import OBJECTIVES, PRICE
from starlette.testclient import TestClient

from keras_transfer.serving import openvino_model
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.models import Model
from keras_transfer.serving.openvino_model import OpenVinoModel
from keras_transfer.serving.rest import build_app

NAMES = list(OBJECTIVES)


@pytest.fixture(scope="module")
def serve(make_service, objective_export):
    """A function that serves a row's export."""
    made = {}

    def serve(name):
        if name not in made:
            made[name] = make_service(objective_export(name).folder.parent, name=name)
        return made[name]

    return serve


@pytest.fixture(scope="module")
def paths(objective_run):
    folder = objective_run("labels").folder.parent / "images"
    return [folder / f"{place}.png" for place in range(3)]


def ask(service, path, **document):
    client = TestClient(build_app(service))
    name = service.versions.names[0]
    answer = client.post(f"/v1/models/{name}:{path}", json=document)
    return answer.status_code, answer.json()


def instances(paths):
    return [{"image_bytes": {"b64": base64.b64encode(p.read_bytes()).decode()}} for p in paths]


def test_rows_of_labels(serve, objective_run, paths):
    status, document = ask(serve("labels"), "predict", instances=instances(paths))

    assert status == 200
    for row, wanted in zip(
        document["predictions"], objective_run("labels").predict(paths), strict=True
    ):
        assert row["scores"] == pytest.approx(wanted.probabilities.tolist(), abs=1e-5)
        assert row["labels"] == [name for name, _ in wanted.top(3)]
        assert [n for n, d in zip(row["labels"], row["decided"], strict=True) if d] == [
            name for name, _ in wanted.top(3) if name in wanted.label
        ]
        assert all(type(one) is bool for one in row["decided"])


def test_values_alone_come_without_a_name_as_tensorflow_serving_has_it(serve, objective_run, paths):
    wanted = [one.probabilities.tolist() for one in objective_run("values").predict(paths)]

    _, rows = ask(serve("values"), "predict", instances=instances(paths))
    _, columns = ask(
        serve("values"), "predict",
        inputs={"image_bytes": [one["image_bytes"] for one in instances(paths)]},
    )  # fmt: skip

    np.testing.assert_allclose(rows["predictions"], wanted, rtol=1e-4)
    np.testing.assert_allclose(columns["outputs"], wanted, rtol=1e-4)


def test_rows_of_two_outputs(serve, objective_run, paths):
    _, document = ask(serve("tasks"), "predict", instances=instances(paths))

    for row, wanted in zip(
        document["predictions"], objective_run("tasks").predict(paths), strict=True
    ):
        assert row["colour_classes"][0] == wanted.answers()["colour"]
        assert row["price_in_eur_values"] == [pytest.approx(wanted.answers()[PRICE], rel=1e-4)]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("labels", {"heat": (3, 4, 4), "labels": (3,), "explained": (3,)}),
        ("values", (2, 4, 4)),
        ("tasks", {"colour_heat": (4, 4), "colour_classes": (), "price_in_eur_heat": (1, 4, 4)}),
    ],
)
def test_where_it_looked(serve, paths, name, shapes):
    _, document = ask(
        serve(name), "predict", signature_name="explain", instances=instances(paths[:1])
    )

    (row,) = document["predictions"]
    if isinstance(row, dict):
        assert {key: np.shape(value) for key, value in row.items()} == shapes
    else:
        assert np.shape(row) == shapes


@pytest.mark.parametrize("name", NAMES)
def test_classify_is_for_one_classification(serve, name):
    status, document = ask(
        serve(name), "classify", signature_name="classify", examples=[{"image_bytes": "x"}]
    )
    assert (status, document["error"]) == (400, "No signature was found with the name: classify")
    status, document = ask(serve(name), "classify", examples=[{"image_bytes": "x"}])
    assert (status, "Expected classification signature" in document["error"]) == (400, True)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_image_is_refused(serve, name):
    bad = [{"image_bytes": {"b64": base64.b64encode(b"no image").decode()}}]
    status, document = ask(serve(name), "predict", instances=bad)

    assert (status, "not an image" in document["error"]) == (400, True)


@pytest.mark.parametrize("name", NAMES)
def test_requests_are_answered_together_as_alone(serve, paths, name):
    service = serve(name)
    model = service.versions.get(name)
    contents = [np.array([path.read_bytes()], object) for path in paths]
    asked = [service.predict(model, "", {"image_bytes": one}) for one in contents]

    for one, content in zip(asked, contents, strict=True):
        alone = model.run("serving_default", {"image_bytes": content})
        for tensor, found in one.answer.result(60).items():
            if found.dtype == np.float32:
                np.testing.assert_allclose(found, alone[tensor], rtol=1e-4, atol=1e-6)
            else:
                assert found.tolist() == alone[tensor].tolist()


@pytest.mark.parametrize("name", ["labels", "tasks"])
def test_grpc_gives_the_tensors_by_name(serve, paths, name):
    grpc = pytest.importorskip("grpc")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from keras_transfer.serving.grpc_api import build_grpc

    server, port = build_grpc(serve(name), "127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            images = tf.make_tensor_proto([path.read_bytes() for path in paths])
            request.inputs["image_bytes"].CopyFrom(images)
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            found = stub.Predict(request, timeout=60).outputs
    finally:
        server.stop(None).wait()

    model = serve(name).versions.get(name)
    wanted = model.run(
        "serving_default", {"image_bytes": np.array([p.read_bytes() for p in paths], object)}
    )
    assert set(found) == set(wanted)
    for tensor, proto in found.items():
        assert tf.make_ndarray(proto).tolist() == wanted[tensor].tolist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(not openvino_model.pays(), reason="OpenVINO is not installed")
def test_openvino_answers_as_tensorflow_does(objective_export, paths, name):
    folder = objective_export(name).folder
    fast, slow = OpenVinoModel(name, 1, folder), Model(name, 1, folder)
    images = {"image_bytes": np.array([path.read_bytes() for path in paths], object)}

    assert fast._engine is not None
    found, wanted = fast.run("serving_default", images), slow.run("serving_default", images)

    assert {k: (x.dtype, x.shape) for k, x in found.items()} == {
        k: (x.dtype, x.shape) for k, x in wanted.items()
    }
    for tensor, values in wanted.items():
        if values.dtype == np.float32:
            np.testing.assert_allclose(found[tensor], values, rtol=1e-4, atol=1e-5)
        else:
            assert found[tensor].tolist() == values.tolist()


@pytest.mark.skipif(not openvino_model.pays(), reason="OpenVINO is not installed")
def test_values_are_judged_by_the_spread_of_their_target(objective_export):
    """Spreads of redness and blueness are 25 and 3.5: 0.7 apart is 0.028 and 0.2 of them."""
    model = OpenVinoModel("values", 1, objective_export("values").folder)
    wanted = {"values": np.array([[120.0, 1.0]], "float32")}

    assert model._apart({"values": wanted["values"] + [[0.7, 0]]}, wanted) == pytest.approx(0.028)
    assert model._apart({"values": wanted["values"] + [[0, 0.7]]}, wanted) == pytest.approx(0.2)


class Contrary(OpenVinoModel):
    """Once OpenVINO has taken over, each decision is another; scores stay as they are."""

    def run(self, signature, inputs):
        found = dict(super().run(signature, inputs))
        if self._engine is not None:
            found["decided"] = ~found["decided"]
        return found


@pytest.mark.skipif(not openvino_model.pays(), reason="OpenVINO is not installed")
def test_tensorflow_goes_on_where_openvino_decides_otherwise(objective_export, caplog):
    model = Contrary("labels", 1, objective_export("labels").folder)

    assert model._engine is None
    assert "OpenVINO decides otherwise than TensorFlow" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_told_what_the_outputs_are(serve, name):
    told = TestClient(build_app(serve(name))).get("/page/about.json").json()

    assert (told["name"], told["resize"], told["examples"]) == (name, "stretch", [])
    label = {"name": "label", "prefix": ""}
    assert (
        told["outputs"]
        == {
            "labels": [{**label, "activation": "sigmoid", "names": ["blue", "bright", "red"]}],
            "values": [{**label, "activation": "linear", "names": ["redness", "blueness"]}],
            "tasks": [
                {
                    "name": "colour",
                    "prefix": "colour_",
                    "activation": "softmax",
                    "names": ["blue", "grey", "red", "violet"],
                },
                {
                    "name": PRICE,
                    "prefix": "price_in_eur_",
                    "activation": "linear",
                    "names": [PRICE],
                },
            ],
        }[name]
    )


def test_a_signature_that_is_not_there_is_said(serve):
    with pytest.raises(RequestError, match='"rank" not found'):
        serve("values").versions.get("values").signature("rank")
