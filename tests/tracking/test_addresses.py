"""Addresses and messages of trackers hold no secrets."""

import pytest

from keras_transfer.tracking.addresses import MLFLOW_URI, without_secrets, without_user


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://me:pw@db:5432/runs", "postgresql://***@db:5432/runs"),
        ("postgresql://me:p#w@db/runs", "postgresql://***@db/runs"),
        ("postgresql://me:pa/ss@db/runs", "postgresql://***@db/runs"),
        ("postgresql://me:pa?ss@db/runs", "postgresql://***@db/runs"),
        ("postgresql://me:p@w@db/runs", "postgresql://***@db/runs"),
        ("postgresql://db/runs?user=me&password=SECRET", "postgresql://db/runs?***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3DSECRET", "mssql+pyodbc:///?***"),
        ("postgresql://me:SEC@db/runs?sslmode=require", "postgresql://***@db/runs?***"),
        ("http://TOKEN@host", "http://***@host"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////a/b@c.db", "sqlite:////a/b@c.db"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_an_address_without_user_and_query(uri, expected):
    assert without_user(uri) == expected
    assert without_user(expected) == expected


@pytest.mark.parametrize(
    ("uri", "quoted"),
    [
        ("http://me:secretpw@host:9", "request to {uri}/api failed"),
        ("http://me:secretpw@host:9", "no host is called me:secretpw@host"),
        ("http://me:sec%24retpw@host:9", "wrong password 'sec$retpw'"),
        ("http://me:12secret#pw@host", "port is no integer: '12secret'"),
        ("postgresql://db/runs?user=me&password=12secret", "wrong password 12secret"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D12secret", "DRIVER=x;PWD=12secret"),
        ("http://secrettoken@host", "user secrettoken is not known"),
        ("", "proxy http://me:12secret@proxy:80 does not answer"),
        ("", "pwd=12secret"),
    ],
)
def test_a_message_without_secrets(uri, quoted, monkeypatch):
    monkeypatch.setenv(MLFLOW_URI, uri)
    message = without_secrets(quoted.format(uri=uri))
    assert "***" in message
    assert "secret" not in message
    assert "retpw" not in message


def test_keys_of_the_environment_are_in_no_message(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    assert without_secrets("key 0123456789 is not known") == "key *** is not known"
