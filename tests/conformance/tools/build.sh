#!/usr/bin/env bash
# Builds what the conformance tests run, h2spec and gRPC's interop client, into .cache/bin. go.sum pins
# their sources. Go 1.19 or newer. Safe to run again; quick when nothing has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bin=$PWD/../../../.cache/bin
mkdir -p "$bin"
exec 9>"$bin/conformance.lock"
flock 9
stamp=$(cat go.mod go.sum build.sh | sha256sum)
[ "$(cat "$bin/conformance.stamp" 2>/dev/null)" = "$stamp" ] && exit
command -v go >/dev/null || {
  echo "the conformance tests need Go: deploy/install.sh test installs it" >&2
  exit 1
}
go build -buildvcs=false -mod=readonly -o "$bin/h2spec" github.com/summerwind/h2spec/cmd/h2spec
go build -buildvcs=false -mod=readonly -o "$bin/grpc_interop_client" google.golang.org/grpc/interop/client
echo "$stamp" >"$bin/conformance.stamp"
