"""Several models in one server: configuration, version policies, labels, reloads, broken ones."""

import shutil

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, text_format
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from starlette.testclient import TestClient
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.serving.batching import Batcher
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.grpc_api import build_grpc
from keras_transfer.serving.metrics import Metrics
from keras_transfer.serving.model_config import Policy, read_config
from keras_transfer.serving.rest import build_app
from keras_transfer.serving.served_models import ServedModels
from keras_transfer.serving.server import Settings
from keras_transfer.serving.server import serve as run_server
from keras_transfer.serving.service import Limits, Service


class Times(tf.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = tf.constant(float(factor))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, x):
        return {"y": self.factor * x}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of models that multiply: tens by 10 times their version, hundreds by 100 times."""
    folder = tmp_path_factory.mktemp("models")
    for name, factor in (("tens", 10), ("hundreds", 100)):
        for version in (1, 2, 3):
            module = Times(factor * version)
            path = str(folder / name / str(version))
            tf.saved_model.save(module, path, signatures={"serving_default": module.__call__})
    return folder


@pytest.fixture
def folder(models, tmp_path):
    """A copy, and in it a model whose only version is broken."""
    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "models" / "broken" / "1").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "1" / "saved_model.pb").write_bytes(b"broken")
    return tmp_path / "models"


def entry(folder, name, more=""):
    return f"""
    config {{
      name: '{name}'  # a comment
      base_path: "{folder / name}" model_platform: "tensorflow"
      {more}
    }}"""


def written(folder, *entries):
    file = folder / "models.config"
    file.write_text(f"model_config_list {{ {''.join(entries)} }}")
    return file


ALL = "model_version_policy { all {} }"
TWO = "model_version_policy { latest { num_versions: 2 } }"
ONE_AND_TWO = "model_version_policy { specific { versions: 2 versions: 1 } }"


def labels(**versions):
    return " ".join(f'version_labels {{ key: "{k}" value: {v} }}' for k, v in versions.items())


@pytest.fixture
def serve():
    """A function that serves the models of a file: a client for REST, a channel for gRPC."""
    ends = []

    def serve(file):
        models = ServedModels(read_config(file))
        models.look()
        batcher = Batcher()
        service = Service(models, batcher, Limits(), Metrics())
        server, port = build_grpc(service, "127.0.0.1:0")
        server.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        ends.extend([channel.close, lambda: server.stop(None), batcher.close])
        return TestClient(build_app(service)), channel, models

    yield serve
    for end in ends:
        end()


def rest(client, path, x=1.0):
    return client.post(f"/v1/models/{path}:predict", json={"instances": [x]})


def predict(channel, name, version=None, label=""):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones(1, "float32")))
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    return float(tf.make_ndarray(answer.outputs["y"])[0]), answer.model_spec.version.value


def reload(channel, text):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request)


def refusal(call, *words, **more):
    with pytest.raises(grpc.RpcError) as caught:
        call(*words, **more)
    return caught.value.code().name, caught.value.details()


def test_each_model_answers_and_a_broken_one_is_told(folder, serve):
    file = written(folder, *(entry(folder, name) for name in ("broken", "tens", "hundreds")))
    client, channel, _ = serve(file)

    assert rest(client, "tens").json() == {"predictions": [30.0]}
    assert rest(client, "hundreds/versions/3").json() == {"predictions": [300.0]}
    assert predict(channel, "hundreds") == (300, 3)
    assert rest(client, "hundreds/versions/2").status_code == 404
    assert client.get("/healthz").json() == {"ready": True}
    (status,) = client.get("/v1/models/broken").json()["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "END")
    assert status["status"]["error_code"] == "UNKNOWN"
    assert rest(client, "broken").json() == {
        "error": "Servable not found for request: Latest(broken)"
    }
    assert client.get("/v1/models/none").status_code == 404


def test_version_policies(folder, serve):
    policies = {"tens": ALL, "hundreds": TWO}
    client, channel, models = serve(written(folder, *(entry(folder, *p) for p in policies.items())))

    assert [predict(channel, "tens", version=n)[0] for n in (1, 2, 3)] == [10, 20, 30]
    assert [rest(client, f"hundreds/versions/{n}").status_code for n in (1, 2, 3)] == [
        404,
        200,
        200,
    ]
    assert predict(channel, "hundreds") == (300, 3)  # no version: the newest
    shutil.copytree(folder / "hundreds" / "1", folder / "hundreds" / "4")
    models.look()
    assert predict(channel, "hundreds") == (100, 4)
    assert [rest(client, f"hundreds/versions/{n}").status_code for n in (2, 3, 4)] == [
        404,
        200,
        200,
    ]
    states = client.get("/v1/models/hundreds").json()["model_version_status"]
    assert [(one["version"], one["state"]) for one in states] == [
        ("4", "AVAILABLE"),
        ("3", "AVAILABLE"),
        ("2", "END"),
    ]


def test_specific_versions_stay(folder, serve):
    client, channel, models = serve(written(folder, entry(folder, "tens", ONE_AND_TWO)))
    shutil.copytree(folder / "tens" / "1", folder / "tens" / "9")
    models.look()

    assert predict(channel, "tens") == (20, 2)
    assert predict(channel, "tens", version=1) == (10, 1)
    assert rest(client, "tens/versions/9").status_code == 404


def test_the_newest_sound_versions_are_served(folder):
    """A broken one does not count."""
    (folder / "tens" / "3" / "saved_model.pb").write_bytes(b"broken")
    (config,) = read_config(written(folder, entry(folder, "tens", TWO)))
    models = ServedModels([config])
    models.look()

    assert {n: state.state for n, state in models.states("tens").items()} == {
        3: "END",
        2: "AVAILABLE",
        1: "AVAILABLE",
    }


def test_labels(folder, serve):
    text = f"{ALL} {labels(stable=1, canary=3, future=7)}"
    client, channel, _ = serve(written(folder, entry(folder, "tens", text)))

    assert rest(client, "tens/labels/stable").json() == {"predictions": [10.0]}
    assert predict(channel, "tens", label="canary") == (30, 3)
    metadata = client.get("/v1/models/tens/labels/stable/metadata").json()
    assert metadata["model_spec"]["version"] == "1"
    (status,) = client.get("/v1/models/tens/labels/canary").json()["model_version_status"]
    assert status["version"] == "3"
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name, request.model_spec.version_label = "tens", "stable"
    (status,) = (
        model_service_pb2_grpc.ModelServiceStub(channel)
        .GetModelStatus(request)
        .model_version_status
    )
    assert status.version == 1
    assert refusal(predict, channel, "tens", label="none") == (
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: none",
    )
    assert refusal(predict, channel, "tens", label="future") == (
        "NOT_FOUND",
        "Servable not found for request: Specific(tens, 7)",
    )
    assert rest(client, "tens/labels/none").status_code == 400


def test_a_reload_moves_labels_and_drops_models(folder, serve):
    first = [entry(folder, "tens", f"{ALL} {labels(stable=1)}"), entry(folder, "hundreds")]
    client, channel, _ = serve(written(folder, *first))
    moved = entry(folder, "tens", f"{TWO} {labels(stable=2)}")

    assert reload(channel, f"model_config_list {{ {moved} }}").status.error_code == 0
    assert predict(channel, "tens", label="stable") == (20, 2)
    assert rest(client, "tens/versions/1").status_code == 404
    assert rest(client, "hundreds").status_code == 404
    assert client.get("/v1/models/hundreds").status_code == 404
    reload(channel, f"model_config_list {{ {moved} {first[1]} }}")
    assert rest(client, "hundreds").json() == {"predictions": [300.0]}


def test_a_request_cannot_add_folders(folder, serve, tmp_path):
    """A SavedModel is a program: a client may not choose which ones are run."""
    _, channel, _ = serve(written(folder, entry(folder, "tens")))
    shutil.copytree(folder / "tens", tmp_path / "own")

    code, said = refusal(reload, channel, f"model_config_list {{ {entry(tmp_path, 'own')} }}")
    assert code == "PERMISSION_DENIED"
    assert "model own" in said
    assert predict(channel, "tens") == (30, 3)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "INVALID_ARGUMENT", "Only ModelConfigList is currently supported"),
        ("model_config_list {}", "INVALID_ARGUMENT", "lists no model"),
        ("MOVED", "FAILED_PRECONDITION", "Request to assign label to version 9 of model tens"),
        ("BROKEN", "UNKNOWN", "1 model(s) did not become available: ['broken']"),
    ],
)
def test_reloads_that_fail_leave_the_sound_models(folder, serve, text, code, said):
    both = [entry(folder, "tens", labels(stable=3)), entry(folder, "broken")]
    _, channel, _ = serve(written(folder, *both))
    moved = entry(folder, "tens", labels(stable=9))
    texts = {"MOVED": moved, "BROKEN": "".join(both)}
    text = f"model_config_list {{ {texts[text]} }}" if text in texts else text

    found = refusal(reload, channel, text)
    assert found[0] == code
    assert said in found[1]
    assert predict(channel, "tens", label="stable") == (30, 3)


def test_a_model_that_moves_goes_on_until_the_other_folder_is_loaded(folder):
    text = entry(folder, "tens")
    models = ServedModels(read_config(written(folder, text)))
    models.look()
    broken = read_config(
        written(folder, text.replace(str(folder / "tens"), str(folder / "broken")))
    )
    with pytest.raises(RequestError, match="did not become available"):
        models.reload(broken)
    assert models.get("tens").folder == folder / "tens" / "3"

    moved = text.replace(str(folder / "tens"), str(folder / "hundreds"))
    models.reload(read_config(written(folder, moved)))
    assert models.get("tens").folder == folder / "hundreds" / "3"


def test_a_folder_that_is_gone_does_not_stop_the_others(folder, serve):
    client, _, models = serve(written(folder, entry(folder, "none"), entry(folder, "tens")))
    models.look()

    assert rest(client, "tens").status_code == 200
    assert client.get("/v1/models/none").json() == {
        "error": "Could not find any versions of model none"
    }


def test_nothing_is_served_if_no_model_can_be_loaded(folder):
    config = written(folder, entry(folder, "broken"), entry(folder, "none"))
    with pytest.raises(BadData, match=r"broken in .*, none in .* can be served"):
        run_server(None, Settings(config=config, engine="tensorflow"))


def test_metrics_are_by_model(folder, serve):
    client, _, _ = serve(written(folder, entry(folder, "tens"), entry(folder, "hundreds")))
    for path in ("tens", "tens", "hundreds", "invented"):
        rest(client, path)
    text = client.get("/monitoring/prometheus/metrics").text

    count = ":tensorflow:serving:request_count{model_name="
    assert f'{count}"tens",status="OK"}} 2.0' in text
    assert f'{count}"hundreds",status="OK"}} 1.0' in text
    assert "invented" not in text  # otherwise clients could fill the memory with names


def test_the_page_chooses_a_model(folder, serve):
    client, _, _ = serve(written(folder, entry(folder, "tens"), entry(folder, "hundreds")))

    first = client.get("/page/about.json").json()
    assert (first["name"], first["models"]) == ("tens", ["tens", "hundreds"])
    assert client.get("/page/about.json?model=hundreds").json()["name"] == "hundreds"
    assert client.get("/page/about.json?model=none").json()["name"] == "tens"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lists no model"),
        ("model_config_list { config { nam", "no model_config_list in protobuf's text format"),
        ("model_config_list { config { colour: 1 } }", "no field named"),
        ("custom_model_config {}", "lists no model"),
        ('config { base_path: "/m" }', "name: '': should be letters"),
        ('config { name: "a b" base_path: "/m" }', "name: 'a b': should be letters"),
        ('config { name: "a" base_path: "/m" }', 'needs model_platform: "tensorflow"'),
        (
            'config { name: "a" base_path: "/m" model_platform: "other" }',
            'needs model_platform: "tensorflow"',
        ),
        (
            'config { name: "a" base_path: "/m" model_platform: "tensorflow" model_type: 1 }',
            "Illegal setting both model_type",
        ),
        (
            'config { name: "a" base_path: "m" model_platform: "tensorflow" }',
            "Expected model a to have an absolute path; got base_path: 'm'",
        ),
        (
            'config { name: "a" base_path: "gs://m" model_platform: "tensorflow" }',
            "absolute path",
        ),
        (
            2 * 'config { name: "a" base_path: "/m" model_platform: "tensorflow" }',
            "Illegal to list model a multiple times",
        ),
        (
            'config { name: "a" base_path: "/m" model_platform: "tensorflow" '
            "model_version_policy { specific {} } }",
            "lists no versions",
        ),
        (b"\xff", "no model_config_list"),
    ],
)
def test_configurations_that_are_refused(tmp_path, text, said):
    file = tmp_path / "models.config"
    if isinstance(text, bytes):
        file.write_bytes(text)
    else:
        file.write_text(f"model_config_list {{ {text} }}" if text.startswith("config") else text)
    with pytest.raises(BadConfiguration) as caught:
        read_config(file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_what_a_configuration_says(tmp_path):
    (one, other) = read_config(
        written(
            tmp_path,
            entry(tmp_path, "one", f"{ONE_AND_TWO} {labels(stable=1)}").replace(
                'model_platform: "tensorflow"', "model_type: TENSORFLOW"
            ),
            entry(tmp_path, "other", "model_version_policy { latest {} }"),
        )
    )

    assert (one.policy, one.labels) == (Policy(None, (2, 1)), {"stable": 1})
    assert (other.base, other.policy, other.labels) == (tmp_path / "other", Policy(1), {})


def test_reflection_tells_services_and_messages(folder, serve):
    _, channel, _ = serve(written(folder, entry(folder, "tens")))
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    Request = reflection_pb2.ServerReflectionRequest
    listed, symbol = stub.ServerReflectionInfo(
        iter(
            [
                Request(list_services=""),
                Request(file_containing_symbol="tensorflow.serving.PredictionService"),
            ]
        )
    )

    assert {one.name for one in listed.list_services_response.service} >= {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
    }
    file = descriptor_pb2.FileDescriptorProto.FromString(
        symbol.file_descriptor_response.file_descriptor_proto[0]
    )
    assert "Predict" in [method.name for method in file.service[0].method]
