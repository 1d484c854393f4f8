"""Mixing and stronger augmentation by options, in real runs, and test-time augmentation."""

import csv
import json

import pytest
from PIL import Image
from processes import kt

WORDS = [
    *("--mixup", "0.4", "--cutmix", "1", "--label-smoothing", "0.1", "--mixup-off-epoch", "1"),
    *("--imbalance", "class_weight", "--precision", "mixed_bfloat16"),
    *("--set", "augment.randaugment=0.3", "--set", "augment.random_erasing=0.2"),
    *("--set", "augment.horizontal_flip=true", "--set", "augment.color_jitter=0.2"),
]


@pytest.mark.slow
def test_all_of_it_at_once(work):
    done = kt("run", "tiny.py", *WORDS, "--out", "mixed", cwd=work, check=0)

    assert "cutmix creates new images in every epoch" in done.stderr
    with Image.open(work / "mixed/augmented.png") as sheet:
        assert sheet.width == 6 * 160
    with (work / "mixed/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    # No guess has a smaller loss than the entropy of a label of 0.95 and 0.05.
    assert all(float(row["loss"]) > 0.198 for row in rows)
    said = kt("evaluate", "mixed", "--tta", "flip", "--json", cwd=work, check=0)
    metrics = json.loads(said.stdout)["metrics"]["test"]
    assert metrics["n"] == 6
    assert set(metrics["plain"]) == {"accuracy", "macro_f1", "log_loss"}
