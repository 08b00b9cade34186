#!/usr/bin/env bash
# usage: install_tensorflow.sh REQUIREMENTS DIRECTORY
# Installs TensorFlow's C library, with CUDA's where REQUIREMENTS names them, below DIRECTORY. What
# only Python or a compiler would use of these packages is left out, and so are the symbols of the
# library's own functions.
set -euo pipefail
requirements=$1 directory=$2

apt-get update -qq
apt-get install -y -qq --no-install-recommends binutils python3-pip
pip install --quiet --no-cache-dir --no-deps --no-compile --require-hashes --target "$directory" --requirement "$requirements"

cd "$directory"
rm -rf bin ./*.dist-info/RECORD
find tensorflow ! -type d ! -name 'libtensorflow*.so*' ! -name '*NOTICES*' -delete
if [ -d nvidia ]; then
  # XLA runs ptxas and reads libdevice, both of nvidia/cuda_nvcc.
  find nvidia '(' -name '*.a' -o -name '*.h' -o -name '*.hpp' -o -name '*.py' ')' -delete
fi
find . -type d -empty -delete
strip --strip-unneeded tensorflow/libtensorflow*.so*
