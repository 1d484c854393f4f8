"""What ``predict`` refuses the server refuses, in the same words."""

import base64

import encoded
import hostile_images as hostile
import pytest
from PIL import Image
from starlette.testclient import TestClient

from keras_transfer.serving.rest import build_app

NOISE = Image.effect_noise((60, 40), 90)


def halved(form, **options):
    content = hostile.saved(form, NOISE, **options)
    return content[: len(content) // 2]


CASES = {
    "cut.jpg": halved("JPEG"),
    "cut.png": halved("PNG"),
    "cut.gif": hostile.gif((40, 30), [(40, 30)])[:-20],
    "cut.bmp": halved("BMP"),
    "cut.webp": halved("WEBP"),
    "cut.tif": halved("TIFF"),
    "lzw.tif": halved("TIFF", compression="tiff_lzw"),
    "canvas.webp": hostile.webp((9, 9)),  # its frame is larger
    "print.jpg": hostile.saved("JPEG", NOISE.convert("CMYK")),
    "deep.png": encoded.png(4, 3, depth=16),
    "deep.tif": hostile.saved("TIFF", Image.new("I;16", (9, 9), 4000)),
    "line.png": encoded.png(9, 1),
    "words.jpg": b"no image",
}


@pytest.fixture(scope="module")
def predicted(run, tmp_path_factory):
    """Reasons by name, as ``predict`` gives them."""
    folder = tmp_path_factory.mktemp("cases")
    for name, content in CASES.items():
        (folder / name).write_bytes(content)
    found = run.predict([folder / name for name in CASES])
    return {name: one.error for name, one in zip(CASES, found, strict=True)}


@pytest.fixture(scope="module")
def client(make_service, saved):
    with TestClient(build_app(make_service(saved.folder.parent))) as client:
        yield client


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.mark.parametrize("name", CASES)
def test_the_server_refuses_what_predict_refuses(name, predicted, client):
    sound = hostile.saved("PNG", NOISE)
    asked = {
        "predict": {"instances": [b64(sound), b64(CASES[name])]},
        "classify": {
            "signature_name": "classify",
            "examples": [{"image_bytes": b64(CASES[name])}],
        },
    }
    for verb, document in asked.items():
        answer = client.post(f"/v1/models/colours:{verb}", json=document)

        assert predicted[name]
        assert answer.status_code == 400
        assert answer.json() == {"error": f"The file {predicted[name]}"}
