"""Runs on data that are broken, doubled, grouped or weighted; seeds and precision."""

import csv
import io
import json
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image
from processes import HEAD, kt, kt_process, paint


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


def test_a_folder_as_people_have_it_is_trained_evaluated_and_predicted(work, tmp_path):
    """Kaggle's names, thumbnails of a disk station, files without suffix, one class to test on."""
    paint(tmp_path / "photos/Training")
    paint(tmp_path / "photos/Testing", red=4)
    (tmp_path / "photos/Testing/blue").mkdir()
    test = tmp_path / "photos/Testing/red"
    shutil.copytree(test, test / "@eaDir")
    (test / "3.png").rename(test / "3")
    out = ["--data", "photos", "--out", "o"]

    log = kt("run", work / "tiny.py", *HEAD, *out, cwd=tmp_path, check=0).stderr
    assert "Training is train, Testing is test" in log
    assert "1 @eaDir" in log
    assert "The test split of the data lacks classes (1 of 2): blue." in log
    assert json.loads((tmp_path / "o/classes.json").read_text()) == ["blue", "red"]
    found = json.loads((tmp_path / "o/metrics.json").read_text())["test"]
    assert (found["n"], found["roc_auc"], found["pr_auc"]) == (4, None, None)
    assert found["per_class"]["blue"]["recall"] is None

    shown = kt("evaluate", "o", "--data", test.parent, cwd=tmp_path, check=0).stdout
    assert "ROC AUC            -" in shown
    (test / "4.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    answers = kt("predict", "o", test, "--format", "csv", cwd=tmp_path, check=3)
    rows = {row["path"]: row["error"] for row in csv.DictReader(io.StringIO(answers.stdout))}
    assert [path.rpartition("/")[2] for path in rows] == ["0.png", "1.png", "2.png", "3", "4.heic"]
    assert [bool(error) for error in rows.values()] == [False] * 4 + [True]


def test_a_folder_that_can_be_read_in_two_ways_asks_for_layout(work, tmp_path):
    for site in ("north", "south"):
        paint(tmp_path / "photos" / site)
    words = ["run", work / "tiny.py", *HEAD, "--data", "photos", "--out", "o"]

    refused = kt(*words, cwd=tmp_path, check=3)
    assert "--layout class: the classes are north, south" in refused.stderr
    kt(*words, "--layout", "class", cwd=tmp_path, check=0)
    assert json.loads((tmp_path / "o/classes.json").read_text()) == ["north", "south"]


@pytest.mark.parametrize(
    "words", [["--data", "a/" * 3000], ["--data", "a" * 300], ["--out", "a/" * 3000]]
)
def test_a_path_that_is_too_long_is_no_bug(words, work):
    done = kt("run", "tiny.py", *words, cwd=work)

    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result_and_another_another(work, tmp_path):
    runs = {}
    # Processes of their own also order sets otherwise, which must not show.
    for name, seed, run in (("a", 1, kt_process), ("b", 1, kt_process), ("c", 2, kt)):
        words = ["--set", "stages=[{name: all, epochs: 1, unfreeze: all}]", "--seed", seed]
        run("run", "tiny.py", *words, "--out", tmp_path / name, cwd=work, check=0)
        runs[name] = (tmp_path / name / "predictions.csv").read_text()
    assert runs["a"] == runs["b"]
    assert runs["a"] != runs["c"]


@pytest.mark.parametrize(
    "precision", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"]
)
def test_mixed_precision_trains_and_its_model_is_float32(work, tmp_path, precision):
    """An export, evaluate and predict answer alike, on any machine."""
    import keras

    words = ["--precision", precision, "--set", "stages=[{name: all, epochs: 1, unfreeze: all}]"]
    kt("run", "tiny.py", *words, "--out", tmp_path / "o", cwd=work, check=0)

    model = keras.models.load_model(tmp_path / "o/best.keras")
    assert {layer.dtype_policy.name for layer in model._flatten_layers()} == {"float32"}
    assert json.loads((tmp_path / "o/run.json").read_text())["precision"] == {"all": precision}


def test_a_loss_that_is_not_a_number_ends_with_4_and_keeps_the_folder(work, tmp_path):
    ended = kt(
        "run", "tiny.py", "--lr", 1e30, "--set", "stages.0.optimizer=sgd", "--out", tmp_path / "o",
        cwd=work, check=4,
    )  # fmt: skip
    assert "--lr" in ended.stderr
    assert "became" in (tmp_path / "o/run.json").read_text()
