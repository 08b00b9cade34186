"""Asks a model over gRPC.

usage: client_grpc.py ADDRESS TOKEN MODEL [LABEL]     (address: host:port)

Needs the package tensorflow-serving-api.
"""

import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

address, token, model, *label = sys.argv[1:]
request = predict_pb2.PredictRequest()
request.model_spec.name = model
request.model_spec.signature_name = "serving_default"
if label:
    request.model_spec.version_label = label[0]
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))

with grpc.insecure_channel(address) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.Predict(request, timeout=10, metadata=(("authorization", token),))
print(tf.make_ndarray(answer.outputs["y"]).tolist())
