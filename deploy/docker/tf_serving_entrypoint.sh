#!/usr/bin/env bash
# Starts the server as TensorFlow Serving's container does: the model MODEL_NAME (model) out of
# MODEL_BASE_PATH/MODEL_NAME (/models/model), gRPC on 8500, REST on 8501. Arguments go to the server;
# they come last, so a flag that is repeated there wins, and --model_config_file replaces the model.
#
# Unlike there, the server takes the shell's place: a container's SIGTERM then reaches it, and it
# finishes the requests in flight.
set -eu
name=${MODEL_NAME:-model}
exec tensorflow_model_server --port=8500 --rest_api_port=8501 \
  --model_name="$name" --model_base_path="${MODEL_BASE_PATH:-/models}/$name" "$@"
