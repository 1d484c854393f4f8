"""Every image is checked once; bad ones are reported, and stop the run or are left out."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_transfer.data.arrays import read_arrays
from keras_transfer.data.files import Files
from keras_transfer.data.folders import read_folder
from keras_transfer.data.samples import Samples
from keras_transfer.data.scan import Scan, drop_invalid, scan
from keras_transfer.errors import BadData, UnknownName
from keras_transfer.inputs.image import Image as ImageInput

check = ImageInput().judge

NOISE = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype="uint8")


class Counting(Files):
    """Counts its looks at images."""

    def __init__(self, paths):
        super().__init__(paths)
        self.looks = []

    def check(self, row, judge):
        self.looks.append(row)
        return super().check(row, judge)


def table(paths, store=None, classes=("cat", "dog")):
    labels = [classes.index(Path(path).parent.name) for path in paths]
    return Samples.of(store or Counting(paths), classes, paths, labels)


@pytest.fixture
def photos(tmp_path):
    """cat/0.png ... cat/2.png, dog/0.png ... dog/2.png, all different."""
    paths = []
    for i in range(6):
        path = tmp_path / ("cat", "dog")[i // 3] / f"{i % 3}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(NOISE[i:]).save(path)
        paths.append(str(path))
    return paths


def break_twelve(folder, jpeg):
    """Put twelve images into a folder that each cannot be used; give their reasons by name."""
    photo = Image.open(jpeg)
    content = Path(jpeg).read_bytes()
    (folder / "b01.jpg").write_bytes(content[: len(content) // 2])
    (folder / "b02.jpg").write_bytes(b"")
    (folder / "b03.jpg").write_bytes(b"<!DOCTYPE html><title>404</title>")
    (folder / "b04.jpg").write_text("See the other folder.\n")
    photo.convert("CMYK").save(folder / "b05.jpg")
    Image.fromarray(np.zeros((9, 9), "uint16")).save(folder / "b06.png")
    photo.save(folder / "b07.jpg", "GIF")
    photo.save(folder / "b08.jpg", "BMP")
    photo.save(folder / "b09.jpg", "WEBP")
    Image.new("1", (30_000, 3_000)).save(folder / "b10.png")
    (folder / "b11.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "b12.jpg")
    reasons = (
        "is a truncated or damaged JPEG (Premature end of JPEG file)",
        "is empty (0 bytes)",
        "is HTML, not an image",
        "is text, not an image",
        "is CMYK; convert it to RGB",
        "has 16 bits a channel; convert it to 8",
        "is a GIF named .jpg; rename or convert it",
        "is a BMP named .jpg; rename or convert it",
        "is a WebP named .jpg; rename or convert it",
        "has 30000 x 3000 pixels, over 89,478,485; shrink it",
        "cannot be read (No such file or directory)",
        "cannot be read (it is a named pipe, not a regular file)",
    )
    return {f"b{i:02}": reason for i, reason in enumerate(reasons, 1)}


@pytest.mark.real_data
def test_cats_and_dogs_with_twelve_broken_files_scanned_twice(shared_data, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for path in sorted((shared_data / "cats_dogs" / "train" / name).iterdir())[:40]:
            shutil.copy(path, tmp_path / "photos" / name)
    expected = break_twelve(tmp_path / "photos" / "dog", next((tmp_path / "photos/cat").iterdir()))
    samples = read_folder(tmp_path / "photos")

    found = scan(samples, check, tmp_path / "cache")
    begun = time.perf_counter()
    again = scan(samples, check, tmp_path / "cache")

    assert time.perf_counter() - begun < 1
    reasons = dict(zip((Path(key).stem for key in samples.keys), found.reasons, strict=True))
    assert {name: reason for name, reason in reasons.items() if reason} == expected
    np.testing.assert_array_equal(again.reasons, found.reasons)
    np.testing.assert_array_equal(again.digests, found.digests)
    kept = drop_invalid(samples, found, "skip")
    assert list(kept.counts()) == [40, 40]


def test_sound_images_are_looked_at_once(photos, tmp_path):
    first, second = Counting(photos), Counting(photos)
    scan(table(photos, first), check, tmp_path / "cache")
    found = scan(table(photos, second), check, tmp_path / "cache")

    assert sorted(first.looks) == [0, 1, 2, 3, 4, 5]
    assert second.looks == []
    assert len(set(found.digests)) == 6


def test_changed_new_and_bad_images_are_looked_at_again(photos, tmp_path):
    Path(photos[1]).write_bytes(b"")
    scan(table(photos[:5]), check, tmp_path / "cache")
    Image.fromarray(NOISE[20:]).save(photos[2])

    store = Counting(photos)
    found = scan(table(photos, store), check, tmp_path / "cache")

    assert sorted(store.looks) == [1, 2, 5]
    assert list(found.reasons) == ["", "is empty (0 bytes)", "", "", "", ""]


@pytest.mark.parametrize("way", ["replaced", "overwritten", "zeroed"])
def test_a_file_changed_behind_its_time_and_size_is_looked_at_again(way, photos, tmp_path):
    """Two BMPs of one size: only their pixels differ."""
    paths = [str(Path(photo).with_suffix(".bmp")) for photo in photos[:2]]
    for path, shade in zip(paths, (0, 255), strict=True):
        Image.new("RGB", (8, 8), (shade, shade, shade)).save(path)
    before = scan(table(paths), check, tmp_path / "cache").digests
    status, other = os.stat(paths[0]), Path(paths[1]).read_bytes()
    time.sleep(0.02)

    if way == "replaced":
        Path(paths[0]).unlink()
    content = bytes(len(other)) if way == "zeroed" else other
    Path(paths[0]).write_bytes(content)
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))

    assert os.stat(paths[0]).st_size == status.st_size
    found = scan(table(paths), check, tmp_path / "cache")
    assert found.digests[0] == hashlib.sha256(content).hexdigest()
    assert found.digests[1] == before[1]
    assert list(found.reasons) == ["is no image of a known format" if way == "zeroed" else "", ""]


def test_without_a_cache_all_are_looked_at_and_nothing_is_kept(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Counting(photos)
    first = scan(table(photos, store), check, None)
    again = scan(table(photos, store), check, None)

    assert sorted(store.looks) == sorted([*range(6)] * 2)
    assert list(first.digests) == list(again.digests)
    assert not list(tmp_path.glob("*.sqlite"))


def test_rows_of_a_chosen_few_are_looked_at_and_no_others(photos, tmp_path):
    samples = table(photos)
    found = scan(samples.take(np.array([4, 1])), check, tmp_path / "cache")

    assert sorted(samples.store.looks) == [1, 4]
    assert list(found.digests) == [Files(photos).check(row, check).digest for row in (4, 1)]


def test_equal_files_have_equal_digests(photos, tmp_path):
    shutil.copy(photos[0], photos[5])

    digests = scan(table(photos), check, tmp_path / "cache").digests

    assert digests[5] == digests[0]
    assert len(set(digests)) == 5


def test_arrays_are_scanned_and_nothing_is_kept(tmp_path):
    x = np.zeros((4, 8, 8, 3), "uint8")
    x[3] = 9

    found = scan(read_arrays(x, [0, 1, 0, 1]), check, tmp_path / "cache")

    assert list(found.reasons) == [""] * 4
    assert len(set(found.digests)) == 2


def test_no_images_are_no_trouble(tmp_path):
    assert len(scan(table([]), check, tmp_path / "cache").digests) == 0


def test_the_progress_bar_is_silent_without_a_terminal(photos, tmp_path, capfd):
    scan(table(photos), check, tmp_path / "cache")

    assert "Checking" not in capfd.readouterr().err


KILLED = """if True:
    import os, signal, sys
    from pathlib import Path
    from keras_transfer.data.files import Files
    from keras_transfer.data.folders import read_folder
    from keras_transfer.data.samples import Samples
    from keras_transfer.data.scan import scan
    from keras_transfer.inputs.image import Image

    class Deadly(Files):
        def check(self, row, judge):
            if row == 900:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().check(row, judge)

    samples = read_folder(Path(sys.argv[1]))
    samples = Samples.of(Deadly(samples.keys), samples.classes, samples.keys, samples.labels)
    scan(samples, Image().judge, Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_scan_keeps_what_it_had(tmp_path):
    for i in range(1000):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 3), (i % 256, i // 256, 0)).save(path)

    arguments = [sys.executable, "-c", KILLED, tmp_path / "photos", tmp_path / "cache"]
    assert subprocess.run(arguments).returncode == -signal.SIGKILL

    paths = read_folder(tmp_path / "photos").keys
    store = Counting(paths)
    scan(Samples.of(store, ("a", "b"), paths, [0] * 1000), check, tmp_path / "cache")
    assert 100 <= len(store.looks) <= 1000 - 512


# --- what is done about bad ones --------------------------------------------------------------


@pytest.fixture
def found():
    """Images of three cats and three dogs, one of each bad."""
    samples = table([f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)])
    reasons = ["", "is empty", "", "is text", "", ""]
    return samples, Scan(np.array(list("abcdef"), object), np.array(reasons, object))


def test_fail_lists_them_and_names_the_way_out(found):
    with pytest.raises(BadData, match=r"2 of 6 examples cannot be used.*--on-bad skip") as error:
        drop_invalid(*found, "fail")
    assert error.value.offenders == ["cat/1.png: is empty", "dog/0.png: is text"]


def test_skip_keeps_the_others_with_their_digests(found, caplog):
    kept = drop_invalid(*found, "skip")

    assert list(kept.keys) == ["cat/0.png", "cat/2.png", "dog/1.png", "dog/2.png"]
    assert list(kept.digests) == ["a", "c", "e", "f"]
    assert "Left out 2 of 6 examples" in caplog.text


def test_skip_fails_where_a_class_would_be_empty(found):
    samples, seen = found
    with pytest.raises(BadData, match="No example of 'dog' can be used"):
        drop_invalid(
            samples, Scan(seen.digests, np.array(["", "", "", "x", "x", "x"], object)), "skip"
        )


@pytest.mark.parametrize("on_bad", ["fail", "skip"])
def test_without_bad_ones_all_are_kept(on_bad, found):
    samples, seen = found

    assert len(drop_invalid(samples, Scan(seen.digests, np.full(6, "", object)), on_bad)) == 6


def test_another_way_is_an_error_even_without_bad_ones(found):
    with pytest.raises(UnknownName, match="Did you mean 'skip'"):
        drop_invalid(found[0], Scan(found[1].digests, np.full(6, "", object)), "skipp")
