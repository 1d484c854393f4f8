"""Trackers on the command line."""

import json

from processes import HEAD, kt


def test_each_run_of_a_series_is_tracked(work):
    options = ["--seeds", 2, "--track", "tensorboard", "--out", "series"]
    kt("run", "tiny.py", *options, *HEAD, cwd=work, check=0)

    for seed in ("seed_0", "seed_1"):
        folder = work / "series" / seed
        assert json.loads((folder / "tracking.json").read_text())["tensorboard"]["epochs"] == 1
        assert [*(folder / "tensorboard/test").iterdir()]


def test_a_wrong_name_is_refused(work):
    refused = kt("run", "tiny.py", "--track", "tensorboard,wandbb", cwd=work, check=2)

    assert "No tracker is called 'wandbb'. Did you mean 'wandb'?" in refused.stderr
