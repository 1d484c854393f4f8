"""Completion by the tab key: what follows, and scripts that shells can read."""

import subprocess

import pytest
from click.shell_completion import ShellComplete

from keras_transfer.cli import main

COMPLETE = ShellComplete(main, {}, "kt-recipe", "_KT_RECIPE_COMPLETE")


def completed(words, incomplete=""):
    found = COMPLETE.get_completions(words.split(), incomplete)
    return {item.value for item in found}, {item.type for item in found}


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ("", "ru", {"run"}),
        ("run", "vgg", {"vgg16_catsdogs"}),
        ("run vgg16_catsdogs", "--batch-s", {"--batch-size"}),
        ("run vgg16_catsdogs --backbone", "mini", {"minilm"}),
        ("run vgg16_catsdogs --backbone", "vgg", {"vgg16", "vgg19"}),
        ("run vgg16_catsdogs --method", "set", {"setfit"}),
        ("run vgg16_catsdogs --precision", "mixed_b", {"mixed_bfloat16"}),
        ("run vgg16_catsdogs --lr", "", {"auto"}),
        ("run vgg16_catsdogs --seed", "", set()),
        ("completion", "z", {"zsh"}),
    ],
)
def test_what_follows(words, incomplete, expected):
    assert completed(words, incomplete)[0] == expected


@pytest.mark.parametrize("option", ["--data", "--weights", "--config", "--out"])
def test_files_are_left_to_the_shell(option):
    assert completed(f"run vgg16_catsdogs {option}", "photos/")[1] == {"file"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell):
    done = subprocess.run(["kt-recipe", "completion", shell], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "_KT_RECIPE_COMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


def test_another_shell_is_refused():
    done = subprocess.run(["kt-recipe", "completion", "tcsh"], capture_output=True, text=True)

    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
