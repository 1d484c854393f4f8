"""Adaptation to a target domain: searches, and targets that cannot be used."""

import json
from pathlib import Path

import numpy as np
import pytest
from darkened import darken
from processes import paint
from tiny import RECIPE

from keras_transfer import BadConfiguration, BadData, Head, Stage
from keras_transfer.studies.search import Search
from keras_transfer.studies.series import repeat
from keras_transfer.studies.spaces import read_space

ADAPTED = RECIPE.changed(
    head=Head(units=(8,)),
    stages=(Stage("head", epochs=1, learning_rate=0.01),),
    method={"type": "deep_coral", "target_data": "target"},
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("more")
    paint(folder / "images")
    darken(folder / "target", folder / "images")
    return folder


@pytest.fixture(autouse=True)
def beside_the_images(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("KT_CACHE_DIR", str(home / "cache"))


def test_a_search_compares_the_criterion_of_its_trials(home):
    """Not the epochs of the models without adaptation, which are trained inside the trials."""
    pytest.importorskip("optuna")
    space = read_space(["method.weight=1.0:10.0"], ADAPTED, ADAPTED)
    search = Search(ADAPTED, "adapted", space, home / "search")
    search.run(2)

    for trial in search.record.trials:
        document = json.loads((home / f"search/{trial.number}/metrics.json").read_text())
        value = document["adaptation"]["values"]["adapted"]
        assert (trial.state, trial.metrics) == ("complete", [pytest.approx(value, abs=1e-6)])
    # The weight is none of the model without adaptation, which is trained once.
    first, second = (home / f"search/{trial}/source_only/run.json" for trial in (0, 1))
    assert first.read_bytes() == second.read_bytes()


def test_a_model_for_comparison_is_trained_where_its_settings_differ(home):
    pytest.importorskip("optuna")
    space = read_space(["head.dropout=0.1:0.5"], ADAPTED, ADAPTED)
    Search(ADAPTED, "adapted", space, home / "dropouts").run(2)
    first, second = (home / f"dropouts/{trial}/source_only/run.json" for trial in (0, 1))
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"target_data": "other"}, r"lacks.*both are: red"),
        ({"target_data": "other*.jpg"}, "does not exist"),
        ({"target_data": "broken"}, "None of 1 target examples can be used"),
        ({"target_labels": 13}, "fewer target examples"),
        # 24 examples of two classes.
        ({"target_labels": 12}, "uses all target examples"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_before_anything_is_trained(home, method, message):
    if not (home / "other").exists():
        paint(home / "other", red=2, green=2)
        (home / "broken").mkdir()
        (home / "broken" / "1.png").write_bytes(b"no image")
    out = home / f"refused{sorted(method.items())}"
    with pytest.raises(BadData, match=message):
        ADAPTED.run(out=out, method=method, batch_size=8, name="adapted")
    assert not (out / "source_only").exists()


def test_the_source_is_no_target(home):
    same = home / "target" / ".." / Path(ADAPTED.data.source).name
    out = home / "same"
    with pytest.raises(BadConfiguration, match="and so is the source"):
        ADAPTED.run(out=out, method={"target_data": str(same)}, name="adapted")
    assert not (out / "source_only").exists()


def test_a_sweep_has_the_loss_that_is_trained(home, tmp_path):
    found = []
    for weight in (0.0, 3.0):
        folder = tmp_path / str(weight)
        folder.mkdir()
        method = {"type": "dan", "target_data": "target", "weight": weight}
        ADAPTED.changed(method=method, lr="auto").find_rate(folder)
        found.append((folder / "lr_find.csv").read_text())
    assert found[0] != found[1]


@pytest.mark.parametrize("labelled", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_series_reports_both_models_on_the_target(home, labelled):
    """Means over the seeds, and of their differences, by numpy; without labels what was kept."""
    if not labelled:
        darken(home / "unlabelled", home / "images", labelled=False)
    target = "target" if labelled else "unlabelled"
    folder = repeat(ADAPTED.changed(method={"target_data": target}), 2, name="adapted")
    found = json.loads((folder / "series.json").read_text())["target"]
    documents = [
        json.loads((folder / f"seed_{seed}" / "metrics.json").read_text())["adaptation"]
        for seed in range(2)
    ]
    assert found["runs"] == 2
    assert found["adapted_kept"] == [one["kept"] for one in documents].count("adapted")
    if not labelled:
        assert found["metrics"] == {}
        return
    both = [
        [one["target"][name]["accuracy"] for one in documents]
        for name in ("adapted", "source_only")
    ]
    adapted, plain = np.array(both)
    means = {name: one["mean"] for name, one in found["metrics"]["accuracy"].items()}
    assert means == pytest.approx(
        {
            "adapted": adapted.mean(),
            "source_only": plain.mean(),
            "difference": (adapted - plain).mean(),
        }
    )
