"""``kt-recipe report``."""

import shutil

import pytest
from html_pages import Page
from processes import kt, warm_python

CODE = "import sys; sys.modules['{}'] = None; from keras_transfer.cli import main; main()"


@pytest.fixture
def folder(run, tmp_path):
    """A copy of a finished run."""
    shutil.copytree(run.folder, tmp_path / "a run")
    return tmp_path / "a run"


def test_it_writes_the_page_and_opens_it(folder, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/asked\n')
    browser.chmod(0o755)
    done = kt("report", folder, "--open", cwd=tmp_path, check=0, BROWSER=f"{browser} %s")
    assert done.stdout == f"{folder}/report.html\n"
    Page((folder / "report.html").read_text("utf-8")).check()
    assert (tmp_path / "asked").read_text() == (folder / "report.html").as_uri()


def test_other_folders_are_refused(folder, tmp_path):
    done = kt("report", tmp_path, cwd=tmp_path, check=2)
    assert "holds no run and no study" in done.stderr
    (folder / "metrics.json").write_text("{}")
    done = kt("report", folder, cwd=tmp_path, check=3)
    assert "metrics.json is damaged or was changed" in done.stderr


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_it_says_what_to_install(folder, tmp_path, package):
    done = warm_python(CODE.format(package), "report", folder, cwd=tmp_path, check=2)
    assert f"not installed: {package}. pip install 'keras_transfer[report]'" in done.stderr
    assert not (folder / "report.html").exists()
