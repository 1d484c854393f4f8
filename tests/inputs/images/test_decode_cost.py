"""What headers say of cost, against what TensorFlow decodes and the memory it takes."""

import json
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path

import encoded
import hostile_images as hostile
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_transfer.inputs.images import decode, image_checks
from keras_transfer.inputs.images.headers import read_header

HOSTILE = {name: reason for name, _, reason in hostile.hostile()}

SIDES = st.tuples(st.integers(2, 70), st.integers(2, 70))
FORMATS = {
    "baseline": ("JPEG", "RGB", {}),
    "progressive": ("JPEG", "RGB", {"progressive": True}),
    "grey": ("JPEG", "L", {}),
    "png": ("PNG", "RGB", {}),
    "alpha": ("PNG", "RGBA", {}),
    "palette": ("PNG", "P", {}),
    "bits": ("PNG", "1", {}),
    "gif": ("GIF", "P", {}),
    "bmp": ("BMP", "RGB", {}),
    "grey bmp": ("BMP", "L", {}),
    "lossy": ("WEBP", "RGB", {}),
    "lossless": ("WEBP", "RGBA", {"lossless": True}),
    "extended": ("WEBP", "RGBA", {"exif": b"Exif\0\0"}),
    "tiff": ("TIFF", "RGB", {}),
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=15)
@given(sides=SIDES)
def test_an_image_decodes_to_the_size_that_its_header_has(name, sides):
    form, mode, options = FORMATS[name]
    content = hostile.saved(form, Image.new("RGB", sides).convert(mode), **options)
    header = read_header(content)
    decoded = decode.whole(decode.readable(tf.constant(content)))

    assert (*decoded.shape,) == (header.height, header.width, 3)
    assert (header.pixels, header.frames) == (sides[0] * sides[1], 1)
    assert header.bytes >= 3 * header.pixels + len(content)
    assert image_checks.flaw(content) == ""


@settings(max_examples=60)
@given(screen=SIDES, frames=st.lists(SIDES, min_size=1, max_size=5))
def test_a_gif_decodes_to_its_widest_by_its_highest_frame(screen, frames):
    content = hostile.gif(screen, frames)
    header = read_header(content)
    width, height = (max(sides) for sides in zip(*frames, strict=True))
    each = sum(across * down for across, down in frames)

    assert (*decode.whole(tf.constant(content)).shape,) == (height, width, 3)
    assert header[:4] == ("GIF", width, height, max(each, width * height))
    assert header.bytes == each + 3 * width * height + len(content)
    assert header.frames == len(frames)


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(FORMATS.keys() - {"tiff"})),
    end=st.integers(0, 400),
    at=st.integers(8, 60),
    value=st.integers(0, 255),
)
def test_a_damaged_image_never_decodes_to_more_than_its_header_says(name, end, at, value):
    form, mode, options = FORMATS[name]
    content = bytearray(hostile.saved(form, hostile.PLAIN.convert(mode), **options))
    content[at] = value
    content = bytes(content[: len(content) - end])
    if not image_checks.flaw(content, max_pixels=1_000_000):
        header = read_header(content)
        try:
            decoded = decode.whole(tf.constant(content))
        except tf.errors.OpError:
            return
        assert decoded.shape[0] * decoded.shape[1] <= header.pixels


def test_an_interlaced_png_is_no_bomb():
    """Adam7 has more rows than the image, each with a byte for its filter."""
    for sides in [(2, 900), (900, 2), (5, 5), (33, 700)]:
        content = interlaced(*sides)
        assert decode.whole(tf.constant(content)).shape == (sides[1], sides[0], 3)
        assert image_checks.flaw(content) == ""


def interlaced(width, height):
    """Noise that does not shrink, in seven passes (PNG specification, section 8.2)."""
    noise = random.Random(0).randbytes(3 * width * height)
    rows, at = [], 0
    starts = ((0, 0), (4, 0), (0, 4), (2, 0), (0, 2), (1, 0), (0, 1))
    steps = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))
    for (left, top), (across, down) in zip(starts, steps, strict=True):
        columns = len(range(left, width, across))
        for _ in range(top, height, down):
            if columns:
                rows.append(b"\0" + noise[at : at + 3 * columns])
                at += 3 * columns
    assert at == 3 * width * height
    data = zlib.compress(b"".join(rows))
    return encoded.png(width, height, interlaced=True, data=data)


def test_photos_of_phones_with_a_film_behind_them_have_few_scans():
    """In a film of some megabytes the mark of a scan occurs by chance."""
    film = (b"\xff\xda" + bytes(62)) * 300

    assert image_checks.flaw(hostile.saved("JPEG") + film) == ""
    assert "160 scans" in read_header(hostile.jpeg(9, 9, scans=150, progressive=True)).flaw


def test_the_header_of_a_progressive_jpeg_counts_its_coefficients():
    plain, progressive = (hostile.saved("JPEG", progressive=way) for way in (False, True))

    assert read_header(plain).bytes - len(plain) == 3 * 24 * 16
    assert read_header(progressive).bytes - len(progressive) == 9 * 24 * 16


PROCESS = """
import json, resource, sys
import tensorflow as tf
import hostile_images as hostile
from PIL import Image as Pillow
from keras_transfer.data.files import Files
from keras_transfer.data.samples import Samples
from keras_transfer.data.scan import scan
from keras_transfer.inputs.image import Image
from keras_transfer.inputs.images import decode, headers
from keras_transfer.inputs.images.bound import BoundImage
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.limits import Limits, check_image

def memory(word):
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(word))

def growth(act):
    before = memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins here
    result = act()
    return memory("VmHWM") - before, result

def served(content):
    try:
        return check_image(content, Limits().pixels) and ""
    except RequestError as error:
        return str(error)

def judged():
    scanned = scan(samples, Image().judge, None).reasons.tolist()
    predicted = scan(samples, BoundImage(8).check, None).reasons.tolist()  # as predict does
    return list(zip(cases, scanned, predicted, map(served, cases.values())))

for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"):  # what is loaded once
    decode.whole(decode.readable(tf.constant(hostile.saved(form))))
    Image().judge(hostile.saved(form))

cases = {name: content for name, content, _ in hostile.hostile()}
for name, content in cases.items():
    with open(name, "wb") as file:
        file.write(content)
samples = Samples.of(Files(list(cases)), [""], list(cases), [0] * len(cases))
room = 1 << 30
resource.setrlimit(resource.RLIMIT_AS, [memory("VmSize") + room] * 2)
grown, said = growth(judged)

sides = (2000, 2000)
images = {mode: Pillow.new("RGB", sides, (9, 8, 7)).convert(mode) for mode in ("RGB", "RGBA")}
peaks = {}
for name, content in {
    "baseline": hostile.saved("JPEG", images["RGB"]),
    "progressive": hostile.saved("JPEG", images["RGB"], progressive=True, subsampling=0),
    "png": hostile.saved("PNG", images["RGBA"]),
    "cross.gif": hostile.gif((9, 9), [(1, 2000), (2000, 1)]),
    "frames.gif": hostile.gif(sides, [sides] * 5),
    "bmp": hostile.saved("BMP", images["RGB"]),
    "lossy": hostile.saved("WEBP", Pillow.new("RGBA", sides, (1, 2, 3, 4))),
    "lossless": hostile.saved("WEBP", images["RGB"], lossless=True, method=0),
    "tiff": hostile.saved("TIFF", images["RGB"]),
}.items():
    raw = tf.constant(content)
    peak, _ = growth(lambda: decode.whole(decode.readable(raw)))
    peaks[name] = [headers.read_header(content).bytes, peak]
print(json.dumps({"grown": grown, "said": said, "peaks": peaks}))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the above prints: bytes of memory, and the reasons for which images are refused."""
    path = os.pathsep.join([str(Path(hostile.__file__).parent), *sys.path])
    freed_at_once = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        cwd=tmp_path_factory.mktemp("hostile"),
        env={**os.environ, **freed_at_once, "PYTHONPATH": path},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_no_image_takes_more_memory_than_its_header_says(measured):
    for name, (stated, peak) in measured["peaks"].items():
        assert peak <= stated + 8_000_000, name


@pytest.mark.parametrize("place", range(len(HOSTILE)), ids=list(HOSTILE))
def test_what_costs_too_much_is_refused_by_all_in_the_same_words(place, measured):
    name, scanned, predicted, served = measured["said"][place]

    assert HOSTILE[name] in scanned
    assert predicted == scanned
    assert served == f"The file {scanned}"


def test_to_refuse_them_takes_no_memory(measured):
    assert measured["grown"] < 100_000_000
