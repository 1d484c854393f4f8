"""Hostile requests that know the structure of what they break; as a program, many of them.

python hostile.py HOST PORT GRPC_PORT SEED COUNT sends them, and prints what was answered as JSON.
"""

import base64
import http.client
import io
import json
import random
import struct
import sys
import zlib
from collections import Counter

import grpc
import numpy as np
from encoded import bmp, gif, png
from PIL import Image

SIGNATURES = ["serving_default", "classify", "predict_pixels", "embed", "explain", "decode"]
SIGNATURES += ["forward", "", "no", "q" * 3000]
EXTREMES = [0, -1, 1, 255, 256, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**400]
PREDICT = "/tensorflow.serving.PredictionService/Predict"
METHODS = ["Predict", "Classify", "Regress", "GetModelMetadata", "MultiInference"]
TEXTS = ["", "a", "\x00", "ä€𝄞", "image", "q" * 500, "/etc/passwd", "\\ud800", '\\"', "\\u0000"]


def lossless(width, height):
    """A black WebP, of few bytes."""
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "webp", lossless=True, method=0)
    return file.getvalue()


def images(rng):
    """Encoded images: whole ones of every format, large and odd ones, and bombs."""
    found = []
    for form in ("png", "jpeg", "gif", "bmp", "webp", "tiff"):
        for size in ((2, 2), (20, 30), (1, 500), (640, 480)):
            file = io.BytesIO()
            pixels = np.frombuffer(rng.randbytes(3 * size[0] * size[1]), "uint8")
            Image.fromarray(pixels.reshape(size[1], size[0], 3)).save(file, form)
            found.append(file.getvalue())
    for mode in ("L", "LA", "P", "RGBA", "CMYK", "I;16", "1"):
        form = "jpeg" if mode == "CMYK" else "png"
        file = io.BytesIO()
        Image.new(mode, (30, 20)).save(file, form)
        found.append(file.getvalue())
    wide = bytearray(bmp(24, 20, 20))
    struct.pack_into("<i", wide, 18, 2**31 - 1)
    found += [
        lossless(3000, 2000),
        lossless(9000, 9000),
        bytes(wide),
        gif((1, 1), [(1, 20_000), (20_000, 1)]),
        gif((2, 2), [(2, 2)] * 9_000),
        gif((65_535, 65_535), [(1, 1)]),
        png(2, 2, data=zlib.compress(bytes(5_000_000))),
        png(3000, 3000),
        png(30_000, 30_000, data=b""),
        png(20, 20, depth=16),
        bmp(24, 20, -20),
        bmp(32, 4, 4, masks=(0xFF, 0xFF00, 0xFF0000)),
        b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + bytes(18) + b"\xff" * 6,
        b"",
        b"text",
    ]
    return found


def damaged(rng, content):
    """Bytes with a cut, a flipped bit, or something foreign in them."""
    place = rng.randrange(len(content) + 1)
    return rng.choice(
        [
            lambda: content[:place],
            lambda: content[:place] + rng.randbytes(rng.randrange(20)) + content[place:],
            lambda: content[:place] + rng.randbytes(4) + content[place + 4 :],
            lambda: content + rng.randbytes(100),
        ]
    )()


class Hostile:
    """Makes requests.

    Args:
        seed: The same requests for the same one.
        name: Of the model.
    """

    def __init__(self, seed, name="colours"):
        self.rng, self.name = random.Random(seed), name
        self.images = images(self.rng)

    def rest(self):
        """Method, path, body and headers."""
        rng = self.rng
        if rng.random() < 0.1:
            return "GET", self.path(), None, {}
        body = self.document().encode("utf-8", "surrogatepass")
        if rng.random() < 0.15:
            body = damaged(rng, body)
        if rng.random() < 0.05:
            body = rng.choice([b"", b" " * 10**6, body.decode("latin1").encode("utf-16"), b"\xff"])
        headers = {"Content-Type": "application/json"}
        if rng.random() < 0.1:
            name = rng.choice(["Content-Type", "Content-Encoding", "Origin", "Host", "Accept"])
            headers[name] = rng.choice(
                ["", "gzip", "null", "text/plain", "evil.example", "q" * 999]
            )
        api = rng.choice(["predict"] * 6 + ["classify"] * 2 + ["regress", "q" * 300])
        version = rng.choice([""] * 9 + ["/versions/1", "/versions/" + "9" * 19, "/labels/a"])
        return "POST", f"/v1/models/{self.name}{version}:{api}", body, headers

    def path(self):
        parts = ["v1", "models", self.name, "metadata", "versions", "1", "page", "about.json"]
        parts += ["examples", "..", "%2e%2e", "%00", "%ff", "q" * 2000, "monitoring", "healthz", ""]
        return "/" + "/".join(self.rng.choices(parts, k=self.rng.randrange(6)))

    def document(self):
        rng = self.rng
        key = rng.choice(["instances"] * 4 + ["inputs"] * 2 + ["examples"] * 2 + ["context", "x"])
        pairs = [f'"signature_name": {json.dumps(rng.choice(SIGNATURES))}']
        if rng.random() < 0.3:
            pairs = []
        rows = rng.choice([0, 1, 1, 1, 2, 5, 40, 300])
        row = rng.choice([self.image, self.value, self.named, self.pixels])
        value = "[" + ",".join(row() if place < 40 else "1" for place in range(rows)) + "]"
        pairs.append(f'"{key}": {value if rng.random() < 0.9 else self.value()}')
        if rng.random() < 0.05:
            pairs.append(rng.choice(pairs))
        return "{" + ", ".join(pairs) + "}"

    def image(self):
        content = self.rng.choice(self.images)
        if self.rng.random() < 0.4:
            content = damaged(self.rng, content)
        text = base64.b64encode(content).decode()
        if self.rng.random() < 0.05:
            text = text[:-1] + self.rng.choice("=%-_ é")
        return f'{{"b64": "{text}"}}'

    def named(self):
        rng = self.rng
        names = rng.sample(
            ["image_bytes", "pixels", "text", "b64", "q" * 300, ""], rng.randint(1, 2)
        )
        return "{" + ", ".join(f'"{name}": {self.image()}' for name in names) + "}"

    def pixels(self):
        rng = self.rng
        height, width, channels = (rng.choice([0, 1, 2, 16, 16, 40]) for _ in range(3))
        value = str(rng.choice([0, 1, 255, 0.5, -1, 256, 1e30, 2**70]))
        row = "[" + ",".join([value] * min(channels, 4)) + "]"
        line = "[" + ",".join([row] * width) + "]"
        return "[" + ",".join([line] * height) + "]"

    def value(self, depth=0):
        rng = self.rng
        if depth == 0 and rng.random() < 0.1:
            levels = rng.choice([31, 32, 33, 64, 65, 66, 500, 3000])
            return "[" * levels + "1" + "]" * levels
        kind = rng.randrange(9 if depth < 4 else 6)
        if kind == 0:
            return str(rng.choice(EXTREMES))
        if kind == 1:
            return rng.choice(["1.5", "-0.0", "1e999", "NaN", "-Infinity", "1e-400", "0x1", "01"])
        if kind == 2:
            return rng.choice(["true", "false", "null"])
        if kind in (3, 4):
            return f'"{rng.choice(TEXTS)}"'
        if kind == 5:
            return self.image()
        inner = [self.value(depth + 1) for _ in range(rng.randrange(4))]
        if kind == 6:
            names = [json.dumps(rng.choice(["b64", "a", "image_bytes", ""])) for _ in inner]
            pairs = zip(names, inner, strict=True)
            return "{" + ", ".join(f"{name}: {value}" for name, value in pairs) + "}"
        return "[" + ", ".join(inner) + "]"

    def grpc(self):
        """Method and message."""
        from tensorflow_serving.apis import predict_pb2

        rng = self.rng
        asked = predict_pb2.PredictRequest()
        if rng.random() < 0.3:  # well-formed, whatever the images are
            asked.model_spec.name = self.name
            contents = rng.choices(self.images, k=rng.choice([1, 1, 2, 40]))
            tensor = asked.inputs["image_bytes"]
            tensor.dtype = 7
            tensor.tensor_shape.dim.add(size=len(contents))
            tensor.string_val.extend(contents)
            return PREDICT, asked.SerializeToString()
        asked.model_spec.name = rng.choice([self.name] * 9 + ["", "q" * 3000])
        asked.model_spec.signature_name = rng.choice(SIGNATURES)
        if rng.random() < 0.1:
            asked.model_spec.version.value = rng.choice([0, 1, -1, 2**63 - 1, -(2**63)])
        if rng.random() < 0.1:
            asked.output_filter.extend(rng.choices(["scores", "classes", "q" * 999, ""], k=2))
        for name in rng.sample(
            ["image_bytes", "pixels", "inputs", "q" * 999], rng.choice([0, 1, 1, 2])
        ):
            self.fill(asked.inputs[name])
        message = asked.SerializeToString()
        if rng.random() < 0.1:
            message = damaged(rng, message)
        method = PREDICT.rpartition("/")[0] + "/" + rng.choice(METHODS)
        return method if rng.random() < 0.2 else PREDICT, message

    def fill(self, tensor):
        rng = self.rng
        tensor.dtype = rng.choice([1, 2, 3, 4, 7, 7, 7, 7, 9, 10, 14, 19, 20, 21, 23, 99, 0])
        sides = rng.choice([[1], [2], [], [0], [-1], [1, 16, 16, 3], [1, 5, 7, 3], [1] * 40])
        for side in sides if rng.random() < 0.8 else rng.choices([*EXTREMES[:6], 2**62], k=3):
            tensor.tensor_shape.dim.add(size=side)
        field = rng.choice(
            ["string_val"] * 4 + ["int_val", "float_val", "int64_val", "half_val", ""]
        )
        count = rng.choice([0, 1, 1, 2, 3, 768])
        if field == "string_val":
            chosen = [rng.choice(self.images) for _ in range(min(count, 3))]
            tensor.string_val.extend(
                damaged(rng, one) if rng.random() < 0.4 else one for one in chosen
            )
        elif field:
            tensor.__getattribute__(field).extend([rng.choice([0, 1, 255, -1, 256])] * count)
        else:
            tensor.tensor_content = rng.randbytes(rng.choice([0, 1, 3, 768, 3072]))


def attack(host, port, grpc_port, seed, count, name="colours"):
    """Send requests, one of five by gRPC.

    Returns:
        How often each status was answered; and the first answers that should not be.
    """
    hostile, found, bad = Hostile(seed, name), Counter(), []
    with grpc.insecure_channel(f"{host}:{grpc_port}") as channel:
        for number in range(count):
            asked = hostile.grpc() if number % 5 == 4 else hostile.rest()
            send = _grpc if number % 5 == 4 else _rest
            status, text, good = send(channel if number % 5 == 4 else (host, port), *asked)
            found[str(status)] += 1
            if not good and len(bad) < 20:
                bad.append([number, str(status), text[:300]])
    return found, bad


OURS = ("try again later", "took too long", "waited too long", "Not enough memory")


def _rest(address, method, path, body, headers):
    connection = http.client.HTTPConnection(*address, timeout=120)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        status, text = answer.status, answer.read().decode("utf-8", "replace")
    except http.client.InvalidURL:
        return "not sent", "", True
    except (ConnectionError, http.client.HTTPException) as error:  # refused while it was sent
        return type(error).__name__, str(error), isinstance(error, ConnectionError)
    finally:
        connection.close()
    good = status < 500 or (status == 503 and any(one in text for one in OURS))
    return status, text, good and (status < 400 or ("q" * 101 not in text and len(text) < 1100))


def _grpc(channel, method, message):
    try:
        channel.unary_unary(method)(message, timeout=120)
    except grpc.RpcError as error:
        code, text = error.code().name, error.details()
        good = code not in ("UNKNOWN", "INTERNAL", "DEADLINE_EXCEEDED")
        good &= code != "UNAVAILABLE" or any(one in text for one in OURS)
        return code, text, good and "q" * 101 not in text and len(text) < 1100
    return "OK", "", True


if __name__ == "__main__":
    host, *numbers = sys.argv[1:]
    sys.stdout.write(json.dumps(attack(host, *map(int, numbers))))
