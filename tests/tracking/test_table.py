"""Which trackers a run has."""

import json
import sys

import pytest
from tiny import RECIPE

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.tracking.table import STATE, chosen


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_none_unless_asked_for():
    assert chosen() == ()
    assert chosen("none") == ()


def test_several_by_a_comma_or_a_list():
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    assert chosen("mlflow, tensorboard") == ("mlflow", "tensorboard")
    assert chosen(["tensorboard,mlflow", "tensorboard"]) == ("tensorboard", "mlflow")


def test_none_excludes_all_others():
    with pytest.raises(BadConfiguration, match="none excludes all others"):
        chosen(["none", "tensorboard"])


def test_a_wrong_name_has_a_near_miss_and_no_run_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match=r"track: No tracker is called 'mlfow'.*'mlflow'"):
        RECIPE.run(data="nowhere", track="mlfow")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_is_refused_before_the_data_are_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadConfiguration, match=rf"{name}: pip install 'keras_transfer\[{name}\]'"):
        RECIPE.run(data="nowhere", track=name)
    assert not [*tmp_path.iterdir()]


def test_a_database_is_part_of_the_extra(monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setitem(sys.modules, "alembic", None)
    with pytest.raises(BadConfiguration, match="needs alembic"):
        chosen("mlflow")


def test_the_variable_of_mlflow_is_enough(monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert chosen() == ("mlflow",)
    assert chosen("none") == ()
    assert chosen("tensorboard") == ("tensorboard",)


def test_the_variable_alone_does_not_stop_a_run(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with caplog.at_level("WARNING", "keras_transfer"):
        assert chosen() == ()
    assert "pip install 'keras_transfer[mlflow]'" in caplog.text


def test_a_resumed_run_keeps_its_trackers(tmp_path):
    (tmp_path / STATE).write_text(json.dumps({"tensorboard": {}, "of_a_later_version": {}}))

    assert chosen((), tmp_path) == ("tensorboard",)
    assert chosen("none", tmp_path) == ()


def test_a_damaged_state_does_not_forbid_to_resume(tmp_path, caplog):
    (tmp_path / STATE).write_text('{"tensorboard": {')

    with caplog.at_level("WARNING", "keras_transfer"):
        assert chosen((), tmp_path) == ()
        assert chosen("tensorboard", tmp_path) == ("tensorboard",)
    assert "only trackers of --track know of this run" in caplog.text
    assert STATE in caplog.text


def test_wandb_without_a_key_is_refused_before_it_asks_for_one(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="extra wandb")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    with pytest.raises(BadConfiguration, match=r"no API key was found.*WANDB_MODE=offline"):
        chosen("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert chosen("wandb") == ("wandb",)


def test_wandb_that_is_offline_by_its_settings_needs_no_key(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="extra wandb")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wandb").mkdir()
    # As `wandb offline` writes it.
    (tmp_path / "wandb/settings").write_text("[default]\nmode = offline\n")
    wandb.teardown()  # it has read the settings of another directory
    try:
        assert chosen("wandb") == ("wandb",)
    finally:
        wandb.teardown()
