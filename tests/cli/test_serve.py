"""``kt-recipe serve`` as a process: where it listens, what it refuses, how it ends."""

import base64
import json
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest
from processes import KT, kt


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
