#!/usr/bin/env bash
# Installs what is missing, builds fastserve, and serves the demo model (handwritten digits) with
# gRPC on 8500 and REST on 8501. Arguments go to the server. Ctrl-C stops it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deploy/install.sh demo
exec "${FASTSERVE_VENV:-.venv}/bin/python" -m fastserve --port=8500 --rest_port=8501 --demo "$@"
