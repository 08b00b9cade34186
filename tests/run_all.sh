#!/usr/bin/env bash
# Installs what the tests need and runs every check: format, lint, types, C++ unit tests under
# ASan+UBSan and TSan, what a request allocates, fuzz targets, Python unit, property, integration,
# compatibility and conformance tests, and those of the benchmark. Arguments go to pytest. Safe to
# run again.
# FASTSERVE_FUZZ_SECONDS   how long each parser is fuzzed (default: 0, its corpus only)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deploy/install.sh demo test
bin=$PWD/${FASTSERVE_VENV:-.venv}/bin
[[ ${FASTSERVE_VENV:-} = /* ]] && bin=$FASTSERVE_VENV/bin
export PATH="$bin:$PATH"

step() { echo "== $*"; }

step "format and lint"
mapfile -t cpp < <(find bench csrc tests -name '*.h' -o -name '*.cc')
clang-format --dry-run -Werror "${cpp[@]}"
ruff format --check -q py tests bench protos
ruff check -q py tests bench protos
mypy

tensorflow=$(python -c 'import importlib.util as u; print(u.find_spec("tensorflow").submodule_search_locations[0])')
for preset in asan-ubsan tsan; do
  step "C++ tests ($preset)"
  cmake --preset "$preset" -DFASTSERVE_TENSORFLOW_DIR="$tensorflow" >/dev/null
  cmake --build --preset "$preset" -- --quiet
  ctest --preset "$preset" -j2
done

fuzz_seconds=${FASTSERVE_FUZZ_SECONDS:-0}
step "fuzz targets, $fuzz_seconds s beyond their corpora"
cmake --preset fuzz -DFASTSERVE_FUZZ_SECONDS="$fuzz_seconds" >/dev/null
cmake --build --preset fuzz -- --quiet
ctest --preset fuzz -j2

step "allocations, which sanitizers hide, and the benchmark's programs"
cmake --preset release -DFASTSERVE_TENSORFLOW_DIR="$tensorflow" >/dev/null
cmake --build --preset release --target allocation_test base_test loadgen echo_server session_loop -- --quiet
ctest --preset release -R '^(Allocation|BlockPool)Test'

step "Python tests"
pytest "${@:-tests}" bench
