"""Ask a server for the classes of images, over REST, with Python's standard library alone.

python rest_client.py http://127.0.0.1:8501 MODEL IMAGE...
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

address, model, *images = sys.argv[1:]
instances = [
    {"image_bytes": {"b64": base64.b64encode(Path(one).read_bytes()).decode()}} for one in images
]
request = urllib.request.Request(
    f"{address}/v1/models/{model}:predict",
    json.dumps({"instances": instances}).encode(),
    {"Content-Type": "application/json"},
)
if os.environ.get("KT_SERVE_TOKEN"):
    request.add_header("Authorization", f"Bearer {os.environ['KT_SERVE_TOKEN']}")
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        predictions = json.load(answer)["predictions"]
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {json.load(error)['error']}")
for image, row in zip(images, predictions):
    print(f"{image}  {row['classes'][0]}  {row['probabilities'][0]:.4f}")
