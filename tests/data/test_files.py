"""Images in files: what is read, what cannot be, and what a stamp tells."""

import contextlib
import os
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
from images import decoded, image, loading
from PIL import Image

from keras_transfer.data.files import Files
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.inputs.image import Image as ImageInput
from keras_transfer.inputs.images import decode

check = ImageInput().judge


@pytest.fixture
def paths(tmp_path):
    """Three plain colours, one of them under a name that is not ASCII."""
    colours = {"rot.png": (255, 0, 0), "grün.png": (0, 255, 0), "blau.png": (0, 0, 255)}
    for name, colour in colours.items():
        Image.new("RGB", (3, 2), colour).save(tmp_path / name)
    return [str(tmp_path / name) for name in colours]


def test_rows_are_read_in_any_order(paths):
    images = decoded(Files(paths), [2, 0, 1])

    assert [one.shape for one in images] == [(2, 3, 3)] * 3
    assert [tuple(one[0, 0]) for one in images] == [(0, 0, 255), (255, 0, 0), (0, 255, 0)]


@pytest.mark.parametrize("form", ["bmp", "tiff"])
def test_zeros_at_the_end_of_a_file_are_read(form, tmp_path):
    """A black image ends in them; numpy cuts them off the ends of bytes."""
    Image.new("RGB", (9, 8)).save(tmp_path / f"black.{form}")
    store = Files([str(tmp_path / f"black.{form}")])

    def pixels(row):
        return decode.image(decode.readable(store.read(row)))

    assert pixels(tf.constant(0)).numpy().tolist() == np.zeros((8, 9, 3), int).tolist()
    (found,) = tf.data.Dataset.range(1).map(pixels)
    assert found.shape == (8, 9, 3)
    assert store.read(tf.constant(0)).numpy() == (tmp_path / f"black.{form}").read_bytes()


def test_a_large_jpeg_is_read_no_larger_than_its_square_needs(tmp_path):
    """A quarter of 400 x 640 is the smallest that leaves twice 40; the check reads all of it."""
    Image.new("RGB", (640, 400), (9, 9, 9)).save(tmp_path / "large.jpg")
    store = Files([str(tmp_path / "large.jpg")])
    samples = Samples.of(store, ["a"], ["large.jpg"], [0])
    row = tf.constant(0, tf.int64)

    assert image(store, row).shape == (400, 640, 3)
    assert image(store, row, 40, "stretch").shape == (100, 160, 3)
    assert image(store, row, 40, "pad").shape == (50, 80, 3)
    assert loading(40).example(samples, row)["pixels"].numpy().max() <= 10


def test_paths_are_not_copied_into_the_graph(paths):
    store = Files(paths * 10_000)
    graph = tf.function(lambda row: image(store, row)).get_concrete_function(
        tf.TensorSpec([], tf.int64)
    )

    assert graph.graph.as_graph_def().ByteSize() < 200_000
    assert tuple(graph(tf.constant(29_999, tf.int64))[0, 0].numpy()) == (0, 0, 255)


def test_a_sound_file_has_the_digest_of_its_copy_and_no_others(paths, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes((tmp_path / "rot.png").read_bytes())
    checked = [Files([*paths, str(copy)]).check(row, check) for row in range(4)]

    assert [one.reason for one in checked] == [""] * 4
    assert checked[3].digest == checked[0].digest
    assert len({one.digest for one in checked}) == 3


def folder(path):
    path.mkdir()


def broken_link(path):
    path.symlink_to("nowhere")


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")  # never ends


def listener(path):
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)  # a path may have 108 bytes at most


def huge(path):
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # sparse: takes no room


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (folder, "cannot be read (it is a folder, not a regular file)"),
        (broken_link, "cannot be read (No such file or directory)"),
        (pipe, "cannot be read (it is a named pipe, not a regular file)"),
        (device, "cannot be read (it is a device, not a regular file)"),
        (listener, "cannot be read (it is a socket, not a regular file)"),
        (huge, "has 3.0 GB, too many for an image"),
    ],
)
def test_what_cannot_be_read_says_so(make, reason, tmp_path):
    make(tmp_path / "cat.jpg")

    assert Files([str(tmp_path / "cat.jpg")]).check(0, check) == ("", reason)


@pytest.mark.parametrize("name", ["/proc/self/environ", "/proc/kmsg"])
def test_files_of_the_kernel_are_empty_and_never_waited_for(name, tmp_path):
    if not os.access(name, os.R_OK):
        pytest.skip(f"{name} may not be read")
    (tmp_path / "cat.jpg").symlink_to(name)

    assert Files([str(tmp_path / "cat.jpg")]).check(0, check).reason == "is empty (0 bytes)"


def test_what_becomes_a_pipe_after_the_check_is_not_waited_for(paths):
    checked = Files(paths).check(0, check)
    os.remove(paths[0])
    os.mkfifo(paths[0])

    with pytest.raises(BadData, match=r"rot.png cannot be read \(it is a named pipe, not a regu"):
        Files(paths).expecting(np.array([0]), np.array([checked.digest])).content(0)


def test_a_link_to_a_file_is_read_as_the_file(paths, tmp_path):
    (tmp_path / "link.png").symlink_to(paths[0])

    assert Files([str(tmp_path / "link.png")]).check(0, check) == Files(paths).check(0, check)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(paths):
    os.chmod(paths[0], 0)

    assert Files(paths).check(0, check).reason == "cannot be read (Permission denied)"


def test_a_stamp_names_the_file_wherever_one_stands(paths, monkeypatch):
    before = Files(paths).stamp(0)
    assert before[:2] == (paths[0], os.path.getsize(paths[0]))

    monkeypatch.chdir(os.path.dirname(paths[0]))
    assert Files(["rot.png"]).stamp(0) == before == Files(paths).stamp(0)
    os.remove(paths[0])
    assert Files(paths).stamp(0) is None


def touched(path, content):
    os.utime(path, ns=(0, 1))


def zeroed_in_place(path, content):
    """As a failing disk does it; with the old time of change, that nothing shows."""
    status = os.stat(path)
    with open(path, "r+b") as file:
        file.write(bytes(len(content)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced_with_its_time(path, content):
    """As ``cp -p``, ``rsync -t`` and ``unzip`` do it."""
    status, beside = os.stat(path), f"{path}.new"
    with open(beside, "wb") as file:
        file.write(content[::-1])
    os.utime(beside, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(beside, path)


def overwritten_with_its_time(path, content):
    status = os.stat(path)
    with open(path, "wb") as file:
        file.write(content[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = [touched, zeroed_in_place, replaced_with_its_time, overwritten_with_its_time]


@pytest.mark.parametrize("change", CHANGES)
def test_a_stamp_changes_with_the_file(change, paths):
    before, status = Files(paths).stamp(1), os.stat(paths[1])
    with open(paths[1], "rb") as file:
        content = file.read()
    time.sleep(0.02)  # the clock of a file system may tick a hundred times a second

    change(paths[1], content)

    assert Files(paths).stamp(1) != before
    assert os.path.getsize(paths[1]) == status.st_size
    if change is not touched:
        assert os.stat(paths[1]).st_mtime_ns == status.st_mtime_ns


@pytest.mark.parametrize("change", CHANGES[1:])
def test_a_file_that_changes_after_it_was_checked_is_refused_when_it_is_read(change, paths):
    digests = np.array([Files(paths).check(row, check).digest for row in range(3)], object)
    store = Files(paths).expecting(np.arange(3), digests)
    first = store.content(1)

    change(paths[1], first)

    with pytest.raises(BadData, match=r"gr.n.png has changed since it was checked"):
        store.content(1)
    with pytest.raises(tf.errors.OpError, match="has changed since it was checked"):
        list(tf.data.Dataset.range(3).map(store.read))
    assert store.content(0)


def test_a_file_that_is_only_touched_is_read(paths):
    store = Files(paths).expecting(np.array([1]), np.array([Files(paths).check(1, check).digest]))
    before = store.content(1)
    os.utime(paths[1], ns=(0, 1))

    assert store.content(1) == before


def test_a_file_that_is_gone_when_it_is_read_is_named(paths):
    os.remove(paths[2])

    with pytest.raises(BadData, match=r"blau.png cannot be read \(No such file or directory\)"):
        Files(paths).read(2)
