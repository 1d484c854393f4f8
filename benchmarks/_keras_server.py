"""The other side of ``serve``: one ``model.predict`` a request, as tutorials serve a Keras model.

``python _keras_server.py FILE.keras`` answers the same requests as ``kt-recipe serve``; export.json
beside the file has the names of the classes and the size of the images.
"""

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import keras
import tensorflow as tf

file = Path(sys.argv[1])
model = keras.models.load_model(file)
metadata = json.loads((file.parent / "export.json").read_text())
classes, size = metadata["classes"], metadata["image_size"]
one_at_a_time = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers["content-length"])
        (instance,) = json.loads(self.rfile.read(length))["instances"]
        image = tf.io.decode_jpeg(base64.b64decode(instance["b64"]), 3)
        pixels = tf.image.resize(image, (size, size), "area")[tf.newaxis]
        with one_at_a_time:
            probabilities = model.predict(pixels, verbose=0)[0]
        row = {"classes": [classes[i] for i in probabilities.argsort()[::-1]]}
        body = json.dumps({"predictions": [row]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


ThreadingHTTPServer.request_queue_size = 128  # 32 clients come at once
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"Serving at http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
server.serve_forever()
