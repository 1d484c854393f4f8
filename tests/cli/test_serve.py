"""``kt-recipe serve`` as a process: where it listens, what it refuses, how it ends."""

import base64
import json
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from processes import KT, kt

from keras_transfer.cli import main


@pytest.fixture(scope="module")
def model(work, saved):
    """A folder with version 1 of a model called tiny."""
    shutil.copytree(saved.folder, work / "models" / "tiny" / "1")
    return work / "models" / "tiny"


@pytest.fixture(scope="module")
def serve(work):
    """A function that starts a server, and gives its process and its address."""
    processes = []

    def start(path, *words):
        process = subprocess.Popen(
            [*KT, "serve", str(path), "--port", "0", "--grpc-port", "0", *words],
            cwd=work,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        for line in process.stderr:
            found = re.search(r"at (http://\S+), gRPC at (\S+)", line)
            if found:
                return process, found[1]
        raise AssertionError("it ended before it listened")

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def watching(model, serve):
    """Address of a server that looks for new versions ten times a second."""
    return serve(model, "--poll", "0.1")[1]


def ask(url, document=None):
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def instances(work):
    content = (work / "images" / "red" / "0.png").read_bytes()
    return {"instances": [{"b64": base64.b64encode(content).decode()}]}


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_it_answers_and_ends_when_asked_to(work, model, serve, how):
    process, url = serve(model)

    answer = ask(f"{url}/v1/models/tiny:predict", instances(work))
    assert answer["predictions"][0]["classes"][0] == "red"
    with urllib.request.urlopen(url) as page:
        assert b"<title>" in page.read()
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    process.send_signal(how)
    assert process.wait(60) == 0


def test_new_versions_are_switched_to_while_it_runs(work, model, watching):
    url = watching
    shutil.copytree(model / "1", model / ".part")
    (model / ".part").rename(model / "2")

    deadline = time.monotonic() + 60
    while ask(f"{url}/v1/models/tiny")["model_version_status"][0]["state"] != "AVAILABLE" or (
        ask(f"{url}/v1/models/tiny")["model_version_status"][0]["version"] != "2"
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ask(f"{url}/v1/models/tiny:predict", instances(work))["predictions"]
    shutil.rmtree(model / "2")


def test_a_file_of_models_is_read_again_and_the_token_is_in_no_argument(work, model, serve):
    entry = f'name: "tiny" base_path: "{model.resolve()}" model_platform: "tensorflow"'
    config, token = work / "models.config", work / "token"
    config.write_text(f"model_config_list {{ config {{ {entry} }} }}")
    token.write_text("sesame\n")
    process, url = serve(f"--config={config}", "--token-file", str(token))

    def status(path, token="sesame"):
        headers = {"Authorization": f"Bearer {token}"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{url}/v1/models/{path}", headers=headers), timeout=60
            ) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert (status("tiny"), status("tiny", "wrong"), status("tiny/labels/stable")) == (
        200,
        401,
        400,
    )
    assert b"sesame" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    config.write_text("model_config_list {")
    process.send_signal(signal.SIGHUP)
    lines = iter(process.stderr)
    assert "no model_config_list" in next(line for line in lines if "was read again" in line)
    label = 'version_labels { key: "stable" value: 1 }'
    config.write_text(f"model_config_list {{ config {{ {entry} {label} }} }}")
    process.send_signal(signal.SIGHUP)
    assert next(line for line in lines if "was read again" in line)
    assert status("tiny/labels/stable") == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.parametrize("content", [None, "", " \n", "two words", "two\nlines", "Schlüssel"])
def test_a_token_file_holds_one_token(tmp_path, content):
    """A file without one would let everybody in."""
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    done = CliRunner().invoke(main, ["serve", "models/tiny", "--token-file", str(file)])

    assert done.exit_code == 2
    assert f"--token-file {file}" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name an EXPORT, or a file of models by --config"),
        (["models/tiny", "--config", __file__], "Name an EXPORT, or a file"),
        (["--config", __file__, "--name", "x"], "--name is for one EXPORT"),
        (["models/tiny", "--token", "a", "--token-file", "b"], "The token is given twice"),
    ],
)
def test_options_that_exclude_each_other(words, said):
    done = CliRunner().invoke(main, ["serve", *words])

    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.slow
def test_it_listens_at_an_ipv6_address(work, model, serve):
    _, url = serve(model, "--host", "::1")

    assert url.startswith("http://[::1]:")
    assert ask(f"{url}/v1/models/tiny:predict", instances(work))["predictions"]


def test_a_taken_port_is_said(work, model, watching):
    port = watching.rpartition(":")[2]

    refused = kt("serve", model, "--port", port, "--no-grpc", cwd=work, check=2)

    assert "the port is taken" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["images"], 2, "kt-recipe export RUN"),
        (["models/tiny", "--port", "99999"], 2, "--port"),
        (["models/tiny", "--max-batch", "0"], 2, "--max-batch"),
        (["models/tiny", "--examples", "gone"], 2, "gone"),
        (["models/tiny", "--name", "a/b"], 2, "--name 'a/b'"),
        (["models/tiny", "--host", "192.0.2.1", "--port", "0"], 2, "not this machine's"),
    ],
)
def test_what_a_user_can_mend_has_a_message_and_no_traceback(work, model, words, code, said):
    done = kt("serve", *words, cwd=work)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr


def test_a_broken_export_is_said(work, model, tmp_path):
    shutil.copytree(model / "1", tmp_path / "broken" / "1")
    (tmp_path / "broken" / "1" / "saved_model.pb").write_bytes(b"broken")

    done = kt("serve", tmp_path / "broken", "--port", "0", "--no-grpc", cwd=work, check=3)

    assert "cannot be served" in done.stderr
    assert "Traceback" not in done.stderr
