"""Ask a server for the classes of images, over gRPC (pip install tensorflow-serving-api).

python grpc_client.py 127.0.0.1:8500 MODEL IMAGE...
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

address, model, *images = sys.argv[1:]
request = predict_pb2.PredictRequest()
request.model_spec.name = model
contents = [Path(one).read_bytes() for one in images]
request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(contents))
token = os.environ.get("KT_SERVE_TOKEN")
metadata = [("authorization", f"Bearer {token}")] if token else None
with grpc.insecure_channel(address) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        outputs = stub.Predict(request, timeout=60, metadata=metadata).outputs
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
classes = tf.make_ndarray(outputs["classes"])
probabilities = tf.make_ndarray(outputs["probabilities"])
for image, names, shares in zip(images, classes, probabilities):
    print(f"{image}  {names[0].decode()}  {shares[0]:.4f}")
