#!/usr/bin/env bash
# Writes the lock files beside it: the exact versions, with hashes, that the images are made of.
# Run it to move to newer ones. Needs uv and Python 3.11.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
tensorflow=2.21.0

# Prints a table of pyproject.toml, one requirement a line, without TensorFlow.
requirements() {
  python3 - "$1" <<'PYTHON'
import sys, tomllib
value = tomllib.load(open("../../../pyproject.toml", "rb"))
for key in sys.argv[1].split("."):
    value = value[key]
print("\n".join(line for line in value if not line.startswith("tensorflow")))
PYTHON
}

# Locks the requirements of its standard input; more arguments go to uv.
lock() {
  uv pip compile - --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"
}

requirements build-system.requires | lock >build.txt
# With what the server's optional features need: object stores and TensorFlow Lite.
{
  requirements project.dependencies
  requirements project.optional-dependencies.remote
  requirements project.optional-dependencies.tflite
  # ai-edge-litert asks for it where Python has StrEnum itself, which newer ones refuse.
  echo "backports-strenum<1.3"
} | lock >runtime.txt

# Of TensorFlow only its C library is used, so what its Python package depends on is left out; the
# CUDA libraries stay.
lock --universal --no-deps >tensorflow-cpu.txt <<TENSORFLOW
tensorflow-cpu==$tensorflow ; platform_machine == "x86_64"
tensorflow==$tensorflow ; platform_machine == "aarch64"
TENSORFLOW
echo "tensorflow[and-cuda]==$tensorflow" | lock |
  awk '/^[^ ]/ { wanted = /^(tensorflow==|tensorflow\[|nvidia-)/ } wanted' >tensorflow-gpu.txt
