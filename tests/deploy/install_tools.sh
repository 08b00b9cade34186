#!/usr/bin/env bash
# Installs the programs that tests/deploy runs and pip cannot bring: by apt-get, and by Go into
# .cache/bin. A test whose program is missing is skipped and says so. Safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

packages=()
for package in buildah debootstrap iproute2 prometheus shellcheck; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || packages+=("$package")
done
if [ ${#packages[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

command -v go >/dev/null || { echo "install_tools.sh: no Go here, so no Helm, actionlint and manifests" >&2; exit 0; }
mkdir -p .cache/bin
GOBIN=$(readlink -f .cache/bin)
export GOBIN
go install helm.sh/helm/v3/cmd/helm@v3.22.0
go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
cd tests/deploy/manifests
go build -o "$GOBIN/manifests" .
