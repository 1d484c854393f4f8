"""Runs on data that are broken, doubled, grouped or weighted; seeds and precision."""

import csv
import io
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image
from processes import HEAD, kt, paint


def spoil(folder):
    """Twelve files that training would trip over, of twelve kinds; their names."""
    from PIL import Image

    good = next((folder / "red").glob("*.png"))
    image = Image.open(good).convert("RGB")
    jpeg, bmp, gif, webp = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    for target, form in ((jpeg, "JPEG"), (bmp, "BMP"), (gif, "GIF"), (webp, "WEBP")):
        image.save(target, form)
    contents = {
        "truncated.jpg": jpeg.getvalue()[: len(jpeg.getvalue()) // 2],
        "truncated.png": good.read_bytes()[:-40],
        "empty.jpg": b"",
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "note.png": b"just a note",
        "gif.jpg": gif.getvalue(),
        "bmp.jpg": bmp.getvalue(),
        "webp.jpg": webp.getvalue(),
    }
    for name, content in contents.items():
        (folder / "red" / name).write_bytes(content)
    image.convert("CMYK").save(folder / "red/cmyk.jpg")
    Image.fromarray(np.full((20, 20), 40_000, "uint16")).save(folder / "red/deep.png")
    header = good.read_bytes()
    size = (60_000).to_bytes(4, "big") * 2
    crc = zlib.crc32(header[12:16] + size + header[24:29]).to_bytes(4, "big")
    (folder / "red/bomb.png").write_bytes(header[:16] + size + header[24:29] + crc + header[33:])
    (folder / "red/dangling.png").symlink_to(folder / "nowhere.png")
    return {*contents, "cmyk.jpg", "deep.png", "bomb.png", "dangling.png"}


def test_twelve_broken_files_are_named_before_training_twice(work, tmp_path):
    """The first run and the second say the same; --on-bad skip trains on the others."""
    paint(tmp_path / "images")
    broken = spoil(tmp_path / "images")
    words = ["run", work / "tiny.py", *HEAD]
    cache = {"KT_CACHE_DIR": str(tmp_path / "cache")}

    first, second = (kt(*words, cwd=tmp_path, check=3, **cache).stderr for _ in range(2))
    assert first == second
    assert "12 " in first
    assert "--on-bad skip" in first
    assert first.count("images/red/") == 10
    assert "2 more" in first

    kt(*words, "--on-bad", "skip", "--out", "out", cwd=tmp_path, check=0, **cache)
    with (tmp_path / "out/bad_files.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["path"].rpartition("/")[2] for row in rows} == broken
    assert all(row["reason"] for row in rows)
    assert (tmp_path / "out/split.csv").read_text().count("images/") == 24


def test_duplicates_on_two_sides_are_named_and_strict_ends_the_run(work, tmp_path):
    for split in ("train", "test"):
        paint(tmp_path / "images" / split)
        for path in (tmp_path / "images" / split).rglob("*.png"):
            shift = sum(split.encode()) % 7 + 1
            pixels = np.asarray(Image.open(path)) // shift
            Image.fromarray(pixels).save(path)
    shutil.copy(tmp_path / "images/train/red/3.png", tmp_path / "images/test/red/copy.png")

    strict = kt("run", work / "tiny.py", "--strict", cwd=tmp_path, check=4)
    assert "images/train/red/3.png = images/test/red/copy.png" in strict.stderr
    lenient = kt("run", work / "tiny.py", *HEAD, cwd=tmp_path, check=0)
    assert "copy.png" in lenient.stderr


def test_a_manifest_with_groups_and_weights_trains(work, tmp_path):
    paint(tmp_path / "images")
    lines = [
        f"images/{name}/{i}.png,{name},{name}{i // 3},{1 + i % 2}"
        for name in ("red", "blue")
        for i in range(12)
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,group,weight", *lines]))

    words = ["run", work / "tiny.py", *HEAD, "--data", "list.csv", "--out", "o"]
    kt(*words, cwd=tmp_path, check=0)

    with (tmp_path / "o/split.csv").open() as file:
        rows = list(csv.DictReader(file))
    splits = {}
    for row in rows:
        splits.setdefault(row["group"], set()).add(row["split"])
    assert len(splits) == 8
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.slow
def test_sample_the_same_seed_gives_the_same_result_and_another_another(work, tmp_path):
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ["--set", "stages=[{name: all, epochs: 1, unfreeze: all}]", "--seed", seed]
        kt("run", "tiny.py", *words, "--out", tmp_path / name, cwd=work, check=0)
        runs[name] = (tmp_path / name / "predictions.csv").read_text()
    assert runs["a"] == runs["b"]
    assert runs["a"] != runs["c"]


@pytest.mark.parametrize(
    "precision", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"]
)
def test_mixed_precision_trains_and_its_logits_are_float32(work, tmp_path, precision):
    import keras

    kt(
        "run", "tiny.py", "--precision", precision, "--epochs", 1, "--out", tmp_path / "o",
        cwd=work, check=0,
    )  # fmt: skip

    model = keras.models.load_model(tmp_path / "o/best.keras")
    assert model.output["label"].dtype == "float32"
    assert model.get_layer("backbone").output.dtype == precision.removeprefix("mixed_")


def test_a_loss_that_is_not_a_number_ends_with_4_and_keeps_the_folder(work, tmp_path):
    ended = kt(
        "run", "tiny.py", "--lr", 1e30, "--set", "stages.0.optimizer=sgd", "--out", tmp_path / "o",
        cwd=work, check=4,
    )  # fmt: skip
    assert "--lr" in ended.stderr
    assert "became" in (tmp_path / "o/run.json").read_text()
