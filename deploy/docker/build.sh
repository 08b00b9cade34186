#!/usr/bin/env bash
# Builds an image: fastserve:cpu or fastserve:gpu.
#
# usage: deploy/docker/build.sh cpu|gpu [ARGUMENT ...]     arguments go to the builder
# FASTSERVE_BUILDER  what builds: "docker build" (default), or "buildah build --format docker"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
read -ra builder <<<"${FASTSERVE_BUILDER:-docker build}"
image=${1:?usage: deploy/docker/build.sh cpu|gpu [ARGUMENT ...]}
shift

case $image in
  cpu | gpu) ;;
  *) echo "build.sh: no image is called $image; there are cpu and gpu" >&2 && exit 2 ;;
esac
"${builder[@]}" "$@" --file deploy/docker/Dockerfile --target "$image" --tag "fastserve:$image" .
