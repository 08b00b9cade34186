#!/usr/bin/env bash
# Installs what fastserve needs on Debian 12 / Ubuntu 24.04 (x86-64): system packages, a virtual
# environment and the built package. Safe to run again; quick when nothing has changed.
#
# usage: deploy/install.sh [EXTRA ...]      extras of pyproject.toml, such as: demo test
# FASTSERVE_VENV   where the virtual environment goes (default: .venv in the repository)
# FASTSERVE_PYTHON the interpreter to make it with (default: the newest of python3.10 to 3.13 found)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${FASTSERVE_VENV:-$PWD/.venv}
extras=$(IFS=,; echo "$*")

say() { echo "fastserve: $*" >&2; }

# Prints the packages of its arguments that are not installed.
missing_packages() {
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || echo "$package"
  done
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -eq 0 ] && return
  say "installing system packages: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "run this as root, or install sudo: it needs apt-get"; exit 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

find_python() {
  local candidate
  for candidate in "${FASTSERVE_PYTHON:-}" python3.13 python3.12 python3.11 python3.10 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys, venv, ensurepip; assert (3, 10) <= sys.version_info' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  say "no Python 3.10 or newer found"
  exit 1
}

packages=(g++ pkg-config libnghttp2-dev libssl-dev libprotozero-dev rapidjson-dev zlib1g-dev ca-certificates curl)
command -v python3 >/dev/null || packages+=(python3)
# The distribution's Python comes in parts; an interpreter of one's own brings these along.
if [ "$(command -v "${FASTSERVE_PYTHON:-python3}" 2>/dev/null || echo /usr/bin/python3)" = /usr/bin/python3 ]; then
  packages+=(python3-venv python3-dev)
fi
case " $* " in
  *" test "*)
    packages+=(libgtest-dev clang libclang-rt-dev openssl)
    command -v npm >/dev/null || packages+=(nodejs npm) # one of the clients that are tried
    command -v go >/dev/null || packages+=(golang-go)   # for tests/conformance and tests/clients
    ;;
esac
install_packages "${packages[@]}"

python=$(find_python)
[ -x "$venv/bin/python" ] || { say "making $venv with $("$python" --version)"; "$python" -m venv "$venv"; }

# What the installed package was built from; unchanged sources need no new build.
stamp=$(
  {
    echo "$extras"
    "$venv/bin/python" --version
    find CMakeLists.txt pyproject.toml csrc protos py -type f ! -name '*.pyc' ! -name '*.so' ! -name descriptors.binpb -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum
)
if [ "$(cat "$venv/fastserve.stamp" 2>/dev/null)" != "$stamp" ]; then
  say "building and installing fastserve${extras:+ with $extras}"
  "$venv/bin/pip" install --quiet --disable-pip-version-check ".${extras:+[$extras]}"
  echo "$stamp" >"$venv/fastserve.stamp"
fi
