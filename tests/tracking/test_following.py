"""Trackers are told of a run, and whatever happens in them harms no run."""

import json
import logging
import shutil
import sqlite3
import struct

import numpy as np
import pytest
from processes import paint
from stops import Stop
from tiny import RECIPE

from keras_transfer.runs import fingerprint
from keras_transfer.tracking.base import Tracker
from keras_transfer.tracking.following import Following, followed
from keras_transfer.tracking.table import STATE, TRACKERS


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    """A database of MLflow, whose tables take seconds to make."""
    mlflow = pytest.importorskip("mlflow", reason="extra mlflow")
    pytest.importorskip("alembic", reason="extra mlflow")
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(empty_database, tmp_path, monkeypatch):
    """The database of the working directory, which is that of runs without another address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return shutil.copy(empty_database, tmp_path / "mlflow.db")


@pytest.fixture
def folder(run, tmp_path):
    """A run that has trained one of its three epochs."""
    shutil.copytree(run.folder, tmp_path / "copy")
    write_epochs(run, tmp_path / "copy", 1)
    return tmp_path / "copy"


def write_epochs(run, folder, n):
    lines = (run.folder / "history.csv").read_bytes().splitlines(keepends=True)
    (folder / "history.csv").write_bytes(b"".join(lines[: n + 1]))


def following(folder, *names):
    return Following(folder, {name: TRACKERS[name].make() for name in names})


def mlflow_client(database):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{database}")


def mlflow_run(database, experiment="colours"):
    """The client, and the only run of an experiment."""
    client = mlflow_client(database)
    found = client.get_experiment_by_name(experiment)
    (run,) = client.search_runs([found.experiment_id])
    return client, run


def losses(client, run):
    metrics = client.get_metric_history(run.info.run_id, "val_loss")
    return [(metric.step, metric.value) for metric in metrics]


def expected_losses(run):
    return [(step, row["val_loss"]) for step, row in enumerate(run.history, 1)]


def test_an_interrupted_run_goes_on_in_the_same_run_of_mlflow(run, folder, database):
    following(folder, "mlflow").update()
    first = following(folder, "mlflow")  # killed after its first epoch, and resumed
    write_epochs(run, folder, 2)
    first.update()
    first.stop("interrupted")
    assert mlflow_run(database)[1].info.status == "KILLED"

    last = following(folder, "mlflow")
    last.update()
    assert mlflow_run(database)[1].info.status == "RUNNING"
    write_epochs(run, folder, 3)
    last.update()
    last.finish()

    client, found = mlflow_run(database)
    assert found.info.status == "FINISHED"
    assert losses(client, found) == expected_losses(run)
    assert found.data.metrics["test/accuracy"] == run.metrics["test"]["accuracy"]
    majority = run.metrics["baselines"]["majority"]["accuracy"]
    assert found.data.metrics["baselines/majority/accuracy"] == majority
    assert found.data.params["stages.0.unfreeze"] == "all"
    assert found.data.tags["sha256.split.csv"] == fingerprint(run.split)["split.csv"]
    kept = {artifact.path for artifact in client.list_artifacts(found.info.run_id)}
    assert {"metrics.json", "predictions.csv", "recipe.yaml", "history.csv"} <= kept


def test_a_tracker_that_fails_is_one_warning_and_gets_the_rest_at_the_end(
    run, folder, database, caplog
):
    caplog.set_level("INFO", "keras_transfer")
    told = following(folder, "mlflow", "tensorboard")
    told.update()
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE metrics RENAME TO gone")
    for n in (2, 3):
        write_epochs(run, folder, n)
        told.update()
    warned = [line for line in caplog.records if line.levelname == "WARNING"]
    assert len(warned) == 1
    assert "mlflow does not work, so the run goes on without it" in warned[0].message
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE gone RENAME TO metrics")
    told.finish()

    client, found = mlflow_run(database)
    assert losses(client, found) == expected_losses(run)
    assert found.info.status == "FINISHED"
    assert "mlflow works again" in caplog.text
    assert (folder / "tensorboard/test").is_dir()


def test_a_server_that_is_not_there_costs_a_warning(folder, monkeypatch, caplog):
    pytest.importorskip("mlflow", reason="extra mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level("WARNING", "keras_transfer"), followed(folder, ["mlflow"]):
        pass
    assert [line.levelname for line in caplog.records] == ["WARNING"]
    assert "secret" not in caplog.text
    assert "http://***@127.0.0.1:9" in caplog.text
    assert not (folder / STATE).exists()


@pytest.mark.parametrize("own", [None, "http://me:pw@other:1"])
def test_a_resumed_run_asks_for_the_address_that_has_its_password(own, folder, monkeypatch, caplog):
    pytest.importorskip("mlflow", reason="extra mlflow")
    began = {"uri": "http://me:***@host:1", "run_id": "1", "where": ""}  # as it was once written
    (folder / STATE).write_text(json.dumps({"mlflow": {"run": began, "epochs": 0}}))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if own:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", own)
    with caplog.at_level("WARNING", "keras_transfer"):
        following(folder, "mlflow").update()
    assert "The run began in http://***@host:1" in caplog.text
    assert "Set MLFLOW_TRACKING_URI to resume it" in caplog.text


def test_a_database_that_cannot_be_opened_is_tried_once(folder, tmp_path, monkeypatch, caplog):
    pytest.importorskip("mlflow", reason="extra mlflow")
    pytest.importorskip("alembic", reason="extra mlflow")
    (tmp_path / "bad.db").write_text("This is no database." * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/bad.db")
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with caplog.at_level("WARNING", "keras_transfer"):
        following(folder, "mlflow").update()
    assert "file is not a database" in caplog.text
    assert pauses == []


def test_two_runs_share_an_experiment_and_a_series_is_a_tag(folder, database):
    seed = folder.parent / "series/seed_1"
    shutil.copytree(folder, seed)
    (seed.parent / "series.json").write_text("{}")
    following(folder, "mlflow").update()
    following(seed, "mlflow").update()

    client = mlflow_client(database)
    experiment = client.get_experiment_by_name("colours").experiment_id
    series = [found.data.tags.get("series") for found in client.search_runs([experiment])]
    assert sorted(map(str, series)) == ["None", f"{folder.parent.name}/series"]


def tags_in(folder):
    """TensorBoard's view of a folder of events: names by plugin."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def test_tensorboard_has_curves_confusion_matrix_and_settings(run, folder):
    import tensorflow as tf
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    write_epochs(run, folder, 3)
    following(folder, "tensorboard").finish()

    events = tags_in(folder / "tensorboard/test")
    (accuracy,) = events.Tensors("test/accuracy")
    assert tf.make_ndarray(accuracy.tensor_proto) == np.float32(run.metrics["test"]["accuracy"])
    (curve,) = events.Tensors("label/red/pr_curves")
    true_positive, false_positive, _, _, precision, recall = tf.make_ndarray(curve.tensor_proto)
    counts = run.metrics["test"]["confusion_matrix"]["counts"]
    assert (true_positive[0], false_positive[0]) == (sum(counts[1]), sum(counts[0]))
    assert (recall[0], precision[0]) == (1, np.float32(sum(counts[1]) / np.sum(counts)))
    (table,) = events.Tensors("label/confusion_matrix")
    rows = [" | ".join(map(str, row)) for row in counts]
    text = tf.make_ndarray(table.tensor_proto).item().decode()
    assert text == (
        "| true, predicted | blue | red |\n| --- | --- | --- |\n"
        f"| blue | {rows[0]} |\n| red | {rows[1]} |"
    )
    started = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(started).session_start_info.hparams
    assert settings["backbone.name"].string_value == "convnet_small"
    assert settings["stages.0.epochs"].number_value == 3
    assert "_hparams_/session_end_info" in events.summary_metadata


def records_of(path):
    """Records of a file that W&B writes offline: a header, then LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    data, place, part = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        left = 2**15 - place % 2**15
        if left < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        part += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # complete, or the last part
            yield wandb_internal_pb2.Record.FromString(part)
            part = b""


def wandb_epochs(folder):
    """Steps and rows of the epochs in the offline runs of a folder, and the ids of these runs."""
    rows, ids = {}, set()
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for record in records_of(path):
            if record.WhichOneof("record_type") == "run":
                ids.add(record.run.run_id)
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                row = {(item.key or item.nested_key[0]): item.value_json for item in items}
                rows[int(row["_step"])] = row
    return rows, ids


def test_a_run_of_the_users_own_program_is_left_alone(folder, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="extra wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    own = wandb.init(project="own")
    try:
        told = following(folder, "wandb")
        told.update()
        assert told.state["wandb"]["run"]["run_id"] != own.id
        told.failed.add("wandb")
        told.stop("failed")
        assert wandb.run is own
        own.log({"loss": 1.0})
    finally:
        own.finish()
    assert len([*tmp_path.glob("wandb/offline-run-*")]) == 2


def test_a_tracker_that_failed_is_told_of_the_end_of_a_failed_run(folder, database):
    told = following(folder, "mlflow")
    told.update()
    told.failed.add("mlflow")
    told.stop("failed")

    assert mlflow_run(database)[1].info.status == "FAILED"


def change(database, statement):
    with sqlite3.connect(database) as connection:
        connection.execute(statement)


REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'refused'); END"


def test_a_run_that_could_not_be_described_is_the_same_run_later(folder, database):
    told = following(folder, "mlflow")
    change(database, REFUSE.format("params"))
    told.update()
    assert "mlflow" in told.failed
    change(database, "DROP TRIGGER refuse")
    following(folder, "mlflow").finish()  # killed, and resumed

    found = mlflow_run(database)[1]
    assert found.info.status == "FINISHED"
    assert found.data.params["backbone.name"] == "convnet_small"


def test_files_are_kept_and_the_run_ends_where_its_metrics_are_refused(folder, database):
    told = following(folder, "mlflow")
    told.update()
    change(database, REFUSE.format("metrics"))
    told.finish()

    client, found = mlflow_run(database)
    assert found.info.status == "FINISHED"
    assert "metrics.json" in {row.path for row in client.list_artifacts(found.info.run_id)}


class Hanging(Tracker):
    """A tracker whose server hangs at the end, until the user presses Ctrl-C."""

    def begin(self, run, known):
        return {"where": "nowhere"}

    def epoch(self, step, metrics):
        pass

    def finish(self, metrics, files):
        raise KeyboardInterrupt

    def stop(self, status):
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_wait_for_a_tracker_and_not_the_run(folder, caplog):
    trackers = {"hanging": Hanging(), "tensorboard": TRACKERS["tensorboard"].make()}
    told = Following(folder, trackers)
    told.update()
    with caplog.at_level("WARNING", "keras_transfer"):
        told.finish()
        told.stop("failed")
    assert "hanging may lack the end of the run: interrupted" in caplog.text
    assert (folder / "tensorboard/test").is_dir()


def test_the_trackers_of_a_run_know_what_it_wrote_and_change_nothing(
    database, tmp_path, monkeypatch, caplog
):
    """Interrupted after its first epoch, and resumed."""
    pytest.importorskip("wandb", reason="extra wandb")
    caplog.set_level("INFO", "keras_transfer")
    monkeypatch.setenv("WANDB_MODE", "offline")
    paint(tmp_path / "images")
    plain = RECIPE.run(out="plain", name="tiny")
    logger, stop = logging.getLogger("keras_transfer"), Stop("head 2/2")
    logger.addHandler(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            RECIPE.run(out="run", name="tiny", track="mlflow,wandb,tensorboard")
    finally:
        logger.removeHandler(stop)
    run = RECIPE.run(out="run", name="tiny", resume=True)

    names = {path.name for path in run.folder.iterdir()}
    assert names == {STATE, *(path.name for path in plain.folder.iterdir())}
    for name in ("history.csv", "metrics.json", "predictions.csv", "recipe.yaml"):
        assert (run.folder / name).read_bytes() == (plain.folder / name).read_bytes(), name
    client, found = mlflow_run(database, "tiny")
    assert losses(client, found) == expected_losses(run)
    assert found.info.status == "FINISHED"
    rows, ids = wandb_epochs(tmp_path)
    assert len(ids) == 1
    assert [float(rows[step]["val_loss"]) for step in (1, 2)] == [
        row["val_loss"] for row in run.history
    ]
    assert tags_in(run.folder / "tensorboard/test").Tensors("test/accuracy")
