"""``kt-recipe doctor`` on machines with faults, each made for the test."""

import json
import os

from processes import kt, kt_process

from keras_transfer.networks import imagenet


def findings(tmp_path, check=0, run=kt, **env):
    """What is found, by the name of the check."""
    done = run("doctor", "--json", "--no-self-test", cwd=tmp_path, check=check, **env)
    document = json.loads(done.stdout)
    found = document["findings"]
    assert document["problems"] == sum(one["state"] == "problem" for one in found)
    return {one["check"]: one for one in found}


def installed(folder, name, version, *lines):
    """Metadata of a package, as pip leaves them, on a path of its own."""
    home = folder / "site" / f"{name}-{version}.dist-info"
    home.mkdir(parents=True)
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (home / "METADATA").write_text("\n".join([*head, *lines, ""]))
    return {"PYTHONPATH": os.pathsep.join([str(home.parent), os.environ.get("PYTHONPATH", "")])}


def driver(folder, script):
    """A program that stands for NVIDIA's."""
    program = folder / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


def test_a_sound_machine_has_no_problem(tmp_path):
    found = findings(tmp_path)

    assert {one["state"] for one in found.values()} <= {"ok", "note"}
    assert {"python", "packages", "cpu", "gpu", "memory", "cache", "weights"} <= set(found)


def test_it_trains_exports_and_predicts(tmp_path):
    done = kt("doctor", cwd=tmp_path, check=0, KT_CACHE_DIR=str(tmp_path / "cache"))

    assert "self-test: trained, exported and predicted" in done.stdout
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    found = findings(tmp_path, check=4, KT_CACHE_DIR=str(tmp_path / "file/cache"))["cache"]

    assert found["state"] == "problem"
    assert "KT_CACHE_DIR" in found["cure"]


def test_a_card_that_tensorflow_does_not_see(tmp_path):
    """A driver is there, or what answers like one, and no CUDA."""
    path = driver(tmp_path, "echo 'GPU 0: NVIDIA T4 (UUID: GPU-12)'")

    found = findings(tmp_path, check=4, **path)["gpu"]
    assert found["state"] == "problem"
    assert "NVIDIA T4" in found["found"]
    assert "keras_transfer[gpu]" in found["cure"]
    hidden = findings(tmp_path, CUDA_VISIBLE_DEVICES="-1", **path)["gpu"]
    assert hidden["state"] == "note"
    first = findings(tmp_path, check=4, CUDA_VISIBLE_DEVICES="0", **path)["gpu"]
    assert first["state"] == "problem"  # the variable hides the others


def test_a_driver_that_does_not_answer_shows_no_card(tmp_path):
    found = findings(tmp_path, **driver(tmp_path, "exit 9"))["gpu"]

    assert (found["state"], found["found"]) == ("ok", "none")


def test_packages_in_a_wrong_version(tmp_path):
    env = installed(tmp_path, "pydantic", "1.9")
    found = findings(tmp_path, check=4, run=kt_process, **env)["packages"]

    assert "pydantic 1.9 is installed, not <3,>=2.7" in found["found"]


def test_a_missing_extra_and_a_wrong_python(tmp_path):
    lines = ["Requires-Python: >=9", "Requires-Dist: no-such-package; extra == 'serve'"]
    env = installed(tmp_path, "keras_transfer", "9.0", *lines)
    found = findings(tmp_path, check=4, run=kt_process, **env)

    assert found["python"]["state"] == "problem"
    assert found["extra serve"]["state"] == "note"
    assert found["extra serve"]["cure"] == "pip install 'keras_transfer[serve]'"


def test_damaged_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    file = imagenet.where("vgg16").path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half of a download")

    found = findings(tmp_path, check=4, run=kt_process)["weights vgg16"]
    assert str(file) in found["cure"]


def test_a_proxy_in_the_way_of_this_machine(tmp_path):
    proxy = {"http_proxy": "http://proxy:3128", "no_proxy": "", "NO_PROXY": ""}

    assert findings(tmp_path, **proxy)["proxies"]["state"] == "note"
    proxy["no_proxy"] = "localhost,127.0.0.1"
    assert findings(tmp_path, **proxy)["proxies"]["state"] == "ok"


def test_for_people_each_problem_has_its_cure(tmp_path):
    done = kt("doctor", "--no-self-test", cwd=tmp_path, check=4, KT_CACHE_DIR="/proc/no/cache")

    lines = done.stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("problem"))
    assert lines[at + 1].startswith("         -> ")
    assert lines[-1] == "1 to mend: cache"
